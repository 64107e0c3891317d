"""Two processes with half the batch each, and one with all of it; straight, or stopped and resumed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

PLAIN = {"rgb_flip": 0, "grey": 0, "brightness": 0, "contrast": 0, "saturation": 0, "hue": 0}
CLIPS = 4
#: what is measured, or told, and so differs between runs
TIMES = {"data_seconds", "compute_seconds", "data_share", "clips_per_second", "peak_memory_mb"}


def start(dataset: Path, output: Path, batch: int, settings: str, **variables: str) -> subprocess.Popen[str]:
    script = Path(__file__).with_name("process.py")
    command = [sys.executable, str(script), str(dataset), str(output), str(batch), settings]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment | variables, text=True, stderr=subprocess.PIPE)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def results(dataset: Path, tmp_path_factory: pytest.TempPathFactory, settings: Any) -> dict[str, Any]:
    """What one process with batches of 4, and each of two with batches of 2, have come to.

    Colours are not jittered and nothing is dropped out: those are drawn per process.
    """
    folder = tmp_path_factory.mktemp("processes")
    chosen = settings(
        sync_batch_norm=True,
        augmentation=PLAIN,
        validation_fraction=0.2,
        stage1={"epochs": 2, "learning_rate": 1e-4, "accumulate": 2},
    )
    chosen = chosen.model_copy(update={"network": chosen.network.model_copy(update={"dropout": 0.0})})
    text = chosen.model_dump_json()
    group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    processes = [start(dataset, folder, CLIPS, text)]
    processes += [
        start(dataset, folder, CLIPS // 2, text, RANK=str(r), LOCAL_RANK=str(r), **group) for r in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    return {path.stem: torch.load(path, weights_only=True) for path in folder.glob("*.pt")}


@pytest.mark.parametrize("preset", ["cocon", "cmc", "nce", "coclr"])
def test_steps_of_two_processes_are_those_of_one(results: dict[str, Any], preset: str) -> None:
    alone, *pair = (results[name]["steps"][preset] for name in ("1_0", "2_0", "2_1"))
    for one in pair:
        assert one["terms"] == pytest.approx(alone["terms"], rel=1e-3)
        assert one["validation"] == pytest.approx(alone["validation"], rel=2e-3)
        assert one["next"] == pytest.approx(alone["next"], rel=1e-2)
        assert one["gradients"].keys() == alone["gradients"].keys()
        for name, gradient in alone["gradients"].items():
            scale = gradient.abs().max().item() + 1e-6
            torch.testing.assert_close(one["gradients"][name], gradient, rtol=0, atol=2e-3 * scale, msg=name)
    assert pair[0]["validation"] == pair[1]["validation"]


@pytest.mark.parametrize("preset", ["cocon", "cmc", "nce", "coclr"])
def test_a_step_calls_the_other_processes_few_times(results: dict[str, Any], preset: str) -> None:
    """Once for the rows of all views, and once for their gradients. One all-reduce is for the log; the
    others are DDP's for the weights.
    """
    assert results["1_0"]["steps"][preset]["calls"] == {}
    for name in ("2_0", "2_1"):
        calls = results[name]["steps"][preset]["calls"]
        assert (calls.pop("_allgather_base_"), calls.pop("_reduce_scatter_base_")) == (1, 1)
        assert calls.keys() == {"allreduce_"}
        assert calls["allreduce_"] <= 3


def test_whole_runs_of_one_and_two_processes_have_the_same_losses(results: dict[str, Any]) -> None:
    """Batch norm sees all processes' clips, so they agree up to the order of summation."""
    alone, pair = (results[name]["runs"]["straight"] for name in ("1_0", "2_0"))
    assert len(alone) == len(pair) == 2
    for one, other in zip(alone, pair, strict=True):
        assert one["step"] == other["step"]
        for name in ("loss", "cpc/rgb", "validation/loss"):
            assert other[name] == pytest.approx(one[name], rel=0.02), name
    assert pair[0]["loss"] == pytest.approx(alone[0]["loss"], rel=2e-3)


@pytest.mark.parametrize("name", ["1_0", "2_0"])
def test_stopped_and_resumed_is_straight(results: dict[str, Any], name: str) -> None:
    found = results[name]["runs"]
    taken = 1 if name[0] == "1" else 2  # with others, their votes are read when the next step is under way
    assert f"in epoch 2 after step {taken} of" in found["stopped"]
    rows = [
        [{k: v for k, v in row.items() if k not in TIMES} for row in found[kind]]
        for kind in ("straight", "resumed")
    ]
    assert rows[0] == rows[1]


def test_a_loss_that_is_no_number_in_one_process_stops_all(results: dict[str, Any]) -> None:
    messages = [results[f"2_{rank}"]["runs"]["diverged"] for rank in range(2)]
    assert messages[0] == messages[1]
    assert "epoch 1, step 1" in messages[0]
    assert len(messages[0].split("videos of the batch: ")[1].split(", ")) == 2 * CLIPS
