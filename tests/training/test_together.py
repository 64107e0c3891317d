"""The command lines of the rules with two processes on one machine, as `gpus: 2` of a job makes them."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cocon.cli import main
from cocon.datasets.manifest import read_manifest, write_manifest
from cocon.training.log import Row, read_log

PLAIN = {"rgb_flip": 0, "grey": 0, "brightness": 0, "contrast": 0, "saturation": 0, "hue": 0}
EPOCHS = 10


@pytest.fixture
def recipe(settings: Any) -> Any:
    """Settings for a batch size: nothing is drawn per process, and the one video that is held out counts."""

    def make(batch: int) -> str:
        stage = {"epochs": EPOCHS, "batch_size": batch, "learning_rate": 1e-5}
        chosen = settings(
            stage1=stage,
            stage2=stage | {"epochs": 2},
            sync_batch_norm=True,
            augmentation=PLAIN,
            validation_fraction=0.05,
            result="best",
        )
        document = chosen.model_dump(mode="json")
        document["network"]["dropout"] = 0
        return json.dumps(document)

    return make


@pytest.fixture
def manifest(dataset: Path, tmp_path: Path) -> Path:
    """Every video is a group of its own, so that a single one is held out."""
    videos = [dataclasses.replace(video, group="") for video in read_manifest(dataset / "manifest.csv")]
    write_manifest(tmp_path / "manifest.csv", videos)
    return tmp_path / "manifest.csv"


def pretrain(settings: str, dataset: Path, folder: Path, *what: str) -> list[str]:
    """Arguments of `cocon` as in the rules: for stage 1 or, with ``what``, for another."""
    stage1 = ["--stage", "stage1", "--preset", "cpc", "--views", "rgb"]
    return [
        *("pretrain", *(what or stage1), "--manifest", f"{folder.parent}/manifest.csv"),
        *("--shards", f"{dataset}/shards", "--split", "1", "--settings", settings, "--seed", "0"),
        *("--device", "cpu", "--state", f"{folder}/.state", "--output-dir", str(folder)),
        *("--log", f"{folder}/log.jsonl"),
    ]


def launch(arguments: list[str]) -> subprocess.Popen[str]:
    """As two processes."""
    cocon = [sys.executable, "-m", "cocon"]
    line = [*cocon, "launch", "--nodes", "1", "--processes", "2", "--threads", "2", "--gpus", "0", "--"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    return subprocess.Popen([*line, *cocon, *arguments], env=environment, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> str:
    errors = process.communicate(timeout=300)[1]
    assert process.returncode == 0, errors
    return errors


def children(process: subprocess.Popen[str]) -> list[int]:
    found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(number) for number in found.split()]


def assert_same_losses(one: list[Row], two: list[Row]) -> None:
    assert len(one) == len(two)
    for first, second in zip(one[:2], two[:2], strict=True):
        assert first["step"] == second["step"]
        for name in first:
            if name.startswith(("loss", "cpc/", "validation/loss", "validation/cpc")):
                assert second[name] == pytest.approx(first[name], rel=2e-3), name


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_stopped_by_a_signal_to_one_process_and_gone_on_it_has_the_losses_of_one(
    dataset: Path, manifest: Path, recipe: Any, tmp_path: Path
) -> None:
    """Also the loss of the held-out video, of which there are fewer than processes."""
    two = tmp_path / "two"
    command = pretrain(recipe(4), dataset, two)
    process = launch(command)
    deadline = time.monotonic() + 120
    while not list(two.glob(".state/*/log.jsonl")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(children(process)[1], signal.SIGTERM)
    errors = process.communicate(timeout=120)[1]
    assert process.returncode == 75
    assert errors.count("cocon pretrain: stopped by") == 1
    assert not (two / "log.jsonl").exists()

    assert "resuming after epoch" in finish(launch(command))
    assert main(pretrain(recipe(8), dataset, tmp_path / "one")) == 0
    assert_same_losses(*(read_log(tmp_path / name / "log.jsonl") for name in ("one", "two")))
    assert not list((two / ".state").iterdir())


def test_stage_2_of_two_processes_has_the_losses_of_one(
    dataset: Path, manifest: Path, recipe: Any, tmp_path: Path
) -> None:
    shape = {key: value for key, value in json.loads(recipe(4)).items() if key != "pretraining"}
    views = ["--views", "rgb", "mask"]
    start = ["--output-dir", f"{tmp_path}/random", "--settings", json.dumps(shape)]
    assert main(["init", *views, *start]) == 0
    what = ["--stage", "stage2", "--preset", "cocon", *views, "--init", f"{tmp_path}/random"]
    process = launch(pretrain(recipe(4), dataset, tmp_path / "two", *what))
    assert main(pretrain(recipe(8), dataset, tmp_path / "one", *what)) == 0
    finish(process)
    assert_same_losses(*(read_log(tmp_path / name / "log.jsonl") for name in ("one", "two")))


def test_one_message_for_a_mistake(dataset: Path, recipe: Any, tmp_path: Path) -> None:
    process = launch(pretrain(recipe(4), dataset, tmp_path / "two"))
    errors = process.communicate(timeout=120)[1]
    assert process.returncode == 2
    assert errors.startswith("cocon pretrain: there is no manifest ")
    assert len(errors.splitlines()) == 2, "a sentence and a hint"
