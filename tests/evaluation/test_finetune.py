from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cocon.cli import main
from cocon.config.schema import Finetune
from cocon.errors import ConfigError
from cocon.evaluation import finetune as module
from cocon.evaluation.classifier_trainer import ClassifierTrainer
from cocon.evaluation.finetune import FinetuneJob, finetune
from cocon.evaluation.scores import ClassScores
from cocon.evaluation.settings import FinetuneSettings
from cocon.files import read_json
from cocon.shards import ShardSet
from cocon.training.checkpoint import load_encoder
from cocon.training.interrupt import TrainingInterruptedError
from cocon.training.log import read_log
from cocon.training.loop import TrainingDivergedError
from cocon.training.state import RunState

CPU = torch.device("cpu")


def _job(root: Path, epochs: int = 3, folder: str = "out", **more: object) -> FinetuneJob:
    schedule = {"batch_size": 6, "learning_rate": 0.01, "dropout": 0.3, **more}
    return FinetuneJob(
        manifest=root / "manifest.csv",
        shards=root / "shards",
        view="mask",
        checkpoint=root / "mask.safetensors",
        split="1",
        output=root / folder / "finetune_split1.json",
        state=root / "state",
        settings=FinetuneSettings(finetune=Finetune(epochs=epochs, **schedule), bootstrap=50),
        seed=3,
    )


def _probabilities(job: FinetuneJob) -> np.ndarray:
    return ClassScores.load(job.output.with_suffix(".npz")).probabilities


def test_learns_what_can_be_seen_and_tells_how(striped: Path) -> None:
    job = _job(striped, epochs=12)
    result = finetune(job, CPU)
    assert (result.top1, result.n, result.coverage) == (1.0, 5, pytest.approx(5 / 6))
    assert read_json(job.output) == result.row()
    assert (result.task.dataset, result.task.pretraining, result.task.protocol) == (
        "demo",
        "random",
        "finetune",
    )
    np.testing.assert_allclose(_probabilities(job).sum(1), 1, rtol=1e-5)
    rows = read_log(striped / "out" / "finetune_split1.log.jsonl")
    assert [row["epoch"] for row in rows] == list(range(1, 13))
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert rows[-1]["accuracy/train"] > 0.8
    rates = [round(row["learning_rate"], 8) for row in rows]
    assert rates == [0.01] * 6 + [0.001] * 3 + [0.0001] * 2 + [0.00001]
    assert not list((striped / "state").rglob("*.pt"))


def test_same_seed_same_bits_and_the_cache_changes_nothing(striped: Path) -> None:
    first, second = _job(striped), _job(striped, folder="again", cache_megabytes=0)
    other = replace(_job(striped, folder="other"), seed=4)
    for job in (first, second, other):
        finetune(job, CPU)
    np.testing.assert_array_equal(_probabilities(first), _probabilities(second))
    assert np.abs(_probabilities(first) - _probabilities(other)).max() > 1e-3


def test_interrupted_run_ends_with_the_same_bits(striped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _job(striped, folder="whole")
    finetune(whole, CPU)
    steps = []
    take_step = ClassifierTrainer.train_step

    def interrupted(self: ClassifierTrainer, batch: list[object]) -> dict[str, float]:
        steps.append((self.epoch, self.step))
        if len(steps) == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return take_step(self, batch)

    monkeypatch.setattr(ClassifierTrainer, "train_step", interrupted)
    job = _job(striped, folder="resumed")
    with pytest.raises(TrainingInterruptedError, match="SIGTERM in epoch 2 after step 2 of 3"):
        finetune(job, CPU)
    assert not job.output.exists()
    finetune(replace(job, settings=_job(striped, workers=1).settings), CPU)
    assert steps == [(epoch, step) for epoch in range(3) for step in range(3)]
    np.testing.assert_array_equal(_probabilities(job), _probabilities(whole))
    logs = [read_log(j.output.with_suffix(".log.jsonl")) for j in (job, whole)]
    assert [row["loss"] for row in logs[0]] == [row["loss"] for row in logs[1]]


def test_interruption_during_the_test_does_not_cost_the_training(
    striped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = _job(striped)
    with monkeypatch.context() as patch:
        patch.setattr(module, "class_probabilities", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            finetune(job, CPU)
    monkeypatch.setattr(ClassifierTrainer, "train_step", lambda *_: pytest.fail("trains again"))
    assert finetune(job, CPU).n == 5
    assert len(read_log(job.output.with_suffix(".log.jsonl"))) == 3


def test_state_belongs_to_settings_data_and_encoder(striped: Path) -> None:
    _, info = load_encoder(striped / "mask.safetensors")
    shards = ShardSet.of_folder(striped / "shards" / "mask")
    labels = {"run/train0": 1, "walk/train0": 2}

    def key(job: FinetuneJob, labels: dict[str, int] = labels) -> str:
        description = module._description(job, info.clip, shards, labels, ("jump", "run", "walk"))
        return RunState(job.state, description).key

    same = key(_job(striped))
    assert key(_job(striped, folder="elsewhere", workers=2, cache_megabytes=1)) == same
    changed = [
        key(_job(striped, epochs=4)),
        key(_job(striped, weight_decay=0.1)),
        key(replace(_job(striped), seed=4)),
        key(replace(_job(striped), checkpoint=striped / "manifest.csv")),
        key(_job(striped), {"run/train0": 2, "walk/train0": 2}),
    ]
    assert len({same, *changed}) == 6


def test_small_frames_are_refused_before_training(striped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ClassifierTrainer, "fit", lambda _: pytest.fail("trains"))
    job = _job(striped)
    _, info = load_encoder(job.checkpoint)
    clip = info.clip.model_copy(update={"crop": {"mask": 32}})
    job = replace(job, settings=job.settings.model_copy(update={"clip": clip}))
    with pytest.raises(ConfigError, match="smaller than the crop of 32 px"):
        finetune(job, CPU)


def test_loss_that_is_no_number_stops_the_run(striped: Path) -> None:
    with pytest.raises(TrainingDivergedError, match=r"not finite in epoch .*(run|walk|jump)/train\d"):
        finetune(_job(striped, learning_rate=1e30), CPU)


def test_command_runs_and_explains(striped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def command(*more: str) -> int:
        paths = ["--manifest", f"{striped}/manifest.csv", "--shards", f"{striped}/shards"]
        files = ["--checkpoint", f"{striped}/mask.safetensors", "--output", f"{striped}/x.json"]
        options = ["--state", f"{striped}/state", "--device", "cpu", "--threads", "1"]
        return main(["finetune", *paths, *files, *options, *more])

    settings = '{"finetune": {"epochs": 1, "batch_size": 9}, "bootstrap": 10}'
    assert command("--view", "mask", "--split", "1", "--settings", settings) == 0
    assert read_json(striped / "x.json")["protocol"] == "finetune"
    assert command("--view", "mask", "--split", "2") == 2
    assert "there is no split '2'" in capsys.readouterr().err
    assert command("--view", "rgb", "--split", "1") == 2
    assert "not of 'rgb'" in capsys.readouterr().err
    assert command("--view", "mask", "--split", "1", "--settings", '{"finetune": {"batch_size": 1}}') == 2
    assert "finetune.batch_size" in capsys.readouterr().err
