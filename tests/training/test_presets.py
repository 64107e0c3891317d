"""Every preset trains: on blobs in two views, for some thirty steps."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cocon.datasets.manifest import read_manifest, write_manifest
from cocon.errors import ConfigError
from cocon.pretrainings import PRESETS, TERMS
from cocon.training.divergence import StepValues
from cocon.training.initialise import write_initial_encoders
from cocon.training.log import read_log
from cocon.training.pretrain_job import PretrainJob
from cocon.training.settings import PretrainSettings
from cocon.training.trainer import Trainer
from tests.training.test_pretrain import assert_same_result, interrupted_after

Run = Callable[[PretrainJob], None]
Job = Callable[..., PretrainJob]
Settings = Callable[..., PretrainSettings]
VIEWS = ["rgb", "mask"]
LOSS = {"temperature": 0.1, "queue": 24, "nearest": 2}


@pytest.fixture
def together(job: Job, settings: Settings, tmp_path: Path) -> Callable[..., PretrainJob]:
    """A job of stage 2 from random networks."""

    def make(preset: str, name: str = "out", **pretraining: Any) -> PretrainJob:
        chosen = settings(**{"loss": LOSS, **pretraining})
        start = tmp_path / "random"
        if not start.exists():
            write_initial_encoders(VIEWS, start, chosen, 0)
        output = tmp_path / name
        return job(
            views=VIEWS,
            stage="stage2",
            preset=preset,
            init=start,
            settings=chosen,
            output=output,
            log=output / "log.jsonl",
            state=tmp_path / f"{name}.state",
        )

    return make


@pytest.mark.parametrize("preset", PRESETS)
def test_the_loss_of_every_preset_falls(together: Callable[..., PretrainJob], run: Run, preset: str) -> None:
    stage = {"batch_size": 4, "learning_rate": 3e-3}
    both = preset in ("cmc", "cmc_sync", "nce", "coclr")
    this = together(
        preset,
        stage1=stage | {"epochs": 4},
        stage2=stage | {"epochs": 4 if both else 8},
        augmentation={"grey": 0, "hue": 0.05},
        checkpoint_every=100,
    )
    run(this)
    rows = read_log(this.log)
    assert [row["step"] for row in rows] == [4 * epoch for epoch in range(1, 9)]
    assert all(math.isfinite(value) for row in rows for value in row.values())
    terms = {name.partition("/")[0] for name in rows[0] if "/" in name}
    assert terms - {"accuracy"} == set(PRESETS[preset].terms) <= TERMS.keys()
    losses = [row["loss"] for row in rows]
    assert sum(losses[-2:]) < 0.95 * sum(losses[:2])


@pytest.mark.parametrize("preset", ["nce", "coclr"])
@pytest.mark.parametrize("steps", [2, 9, 13])
def test_resumed_is_the_same_as_uninterrupted(
    together: Callable[..., PretrainJob], run: Run, preset: str, steps: int
) -> None:
    """Three steps an epoch, three epochs before views find positives and two after; the queue is resumed."""
    whole, this = (together(preset, name, validation_fraction=0.2) for name in ("whole", "stopped"))
    run(whole)
    with interrupted_after(steps):
        run(this)
    run(this)
    assert_same_result(this, whole)
    rows = read_log(whole.log)
    assert len(rows) == 3 + 2
    assert all(f"validation/{preset}/rgb" in row for row in rows)


def test_coclr_asks_other_views_after_the_epochs_of_stage_1(
    together: Callable[..., PretrainJob], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then it does what it would do with no neighbours at all."""
    seen: dict[str, list[float]] = {}
    step = Trainer.train_step
    for name, nearest in (("none", 1), ("some", 5)):
        values = seen.setdefault(name, [])

        def noted(self: Trainer, window: Any, values: list[float] = values) -> StepValues:
            taken = step(self, window)
            values.append(taken.read()["loss"])
            return taken

        monkeypatch.setattr(Trainer, "train_step", noted)
        run(together("coclr", name, loss=LOSS | {"nearest": nearest}))
    first = 3 * 4
    assert len(seen["none"]) == (3 + 2) * 4
    assert seen["none"][:first] == seen["some"][:first]
    assert seen["none"][first] > seen["some"][first]


def test_an_odd_batch_does_not_hold_pairs(together: Callable[..., PretrainJob]) -> None:
    this = together("nce", stage2={"epochs": 1, "batch_size": 5})
    with pytest.raises(ConfigError, match="2 clips of each video, which do not fill a batch of 5") as error:
        this.check()
    assert "pretraining.stage2.batch_size" in error.value.hint
    dataclasses.replace(this, preset="cmc").check()


def test_every_video_is_seen_with_two_clips(
    together: Callable[..., PretrainJob], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many clips and steps as with one clip per video; two epochs show every video once."""
    batches: list[list[str]] = []
    clips: list[torch.Tensor] = []
    loss_of = Trainer.loss_of

    def noted(self: Trainer, batch: Any, number: int) -> dict[str, torch.Tensor]:
        batches.append(batch.video_id)
        clips.append(batch.views["rgb"])
        return loss_of(self, batch, number)

    monkeypatch.setattr(Trainer, "loss_of", noted)
    run(together("nce", stage1={"epochs": 1}, stage2={"epochs": 1, "batch_size": 8}))
    assert [len(batch) for batch in batches] == [8] * 4
    assert all(batch[::2] == batch[1::2] for batch in batches)
    videos = [video for batch in batches for video in batch[::2]]
    assert len(set(videos)) == len(videos) == 16
    assert not any(torch.equal(first, second) for x in clips for first, second in x.unflatten(0, (-1, 2)))


def test_steps_are_whole_epochs_also_for_the_start_of_mining(
    together: Callable[..., PretrainJob], run: Run
) -> None:
    """Four steps an epoch; stage 1 has three epochs, after which views find positives."""
    by_epochs = together("coclr", "epochs")
    by_steps = together(
        "coclr", "steps", stage1={"steps": 11, "batch_size": 4}, stage2={"steps": 8, "batch_size": 4}
    )
    run(by_epochs)
    run(by_steps)
    assert_same_result(by_steps, by_epochs)
    assert len(read_log(by_steps.log)) == 3 + 2


def test_every_view_has_a_part_in_the_choice(
    together: Callable[..., PretrainJob], run: Run, tmp_path: Path
) -> None:
    this = together("cmc", result="best", best_by="probe", stage1={"epochs": 1, "batch_size": 8})
    videos = [dataclasses.replace(video, label=video.id[-1]) for video in read_manifest(this.manifest)]
    write_manifest(tmp_path / "labelled.csv", videos)
    run(dataclasses.replace(this, manifest=tmp_path / "labelled.csv"))
    for row in read_log(this.log):
        assert row["group_knn/mean"] == pytest.approx((row["group_knn/rgb"] + row["group_knn/mask"]) / 2)
