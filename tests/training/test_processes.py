from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch


def start(dataset: Path, output: Path, batch: int, settings: str, **variables: str) -> subprocess.Popen[str]:
    script = Path(__file__).with_name("one_step.py")
    command = [sys.executable, str(script), str(dataset), str(output), str(batch), settings]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment | variables, text=True, stderr=subprocess.PIPE)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def results(dataset: Path, tmp_path: Path, settings: Any) -> dict[str, Any]:
    """What one process with batches of 4, and each of two with batches of 2, have come to."""
    text = settings().model_dump_json()
    group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    processes = [start(dataset, tmp_path, 4, text)]
    processes += [
        start(dataset, tmp_path, 2, text, RANK=str(r), LOCAL_RANK=str(r), **group) for r in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    return {path.stem: torch.load(path, weights_only=True) for path in tmp_path.glob("*.pt")}


def test_two_processes_do_what_one_does(results: dict[str, Any]) -> None:
    alone, *pair = (results[name] for name in ("1_0", "2_0", "2_1"))
    for one in pair:
        assert one["terms"] == pytest.approx(alone["terms"], rel=1e-4)
        assert one["validation"] == pytest.approx(alone["validation"], rel=2e-3)
        assert one["gradients"].keys() == alone["gradients"].keys()
        for name, gradient in alone["gradients"].items():
            scale = gradient.abs().max().item() + 1e-6
            torch.testing.assert_close(one["gradients"][name], gradient, rtol=0, atol=2e-3 * scale, msg=name)
    assert pair[0]["validation"] == pair[1]["validation"]
