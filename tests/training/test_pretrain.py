from __future__ import annotations

import dataclasses
import math
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from cocon.errors import CheckpointError, ConfigError, DatasetError, ShardError
from cocon.models.network import ViewNetwork
from cocon.training.checkpoint import load_encoder, read_info
from cocon.training.initialise import initial_network
from cocon.training.interrupt import TrainingInterruptedError
from cocon.training.launch import World, resolve_device
from cocon.training.log import Row, read_log
from cocon.training.pretrain import PretrainJob, pretrain
from cocon.training.settings import PretrainSettings
from cocon.training.trainer import Trainer, TrainingDivergedError

Run = Callable[[PretrainJob], None]
Job = Callable[..., PretrainJob]
Settings = Callable[..., PretrainSettings]


def without_times(rows: list[Row]) -> list[Row]:
    return [{key: value for key, value in row.items() if not key.endswith("_seconds")} for row in rows]


def stop_after(steps: int, monkeypatch: pytest.MonkeyPatch, signal_: signal.Signals = signal.SIGTERM) -> None:
    """Send a signal to this process during the given step, counted over all epochs."""
    original, seen = Trainer.train_step, []

    def step(self: Trainer, *args: Any) -> dict[str, float]:
        seen.append(self.step)
        if len(seen) == steps:
            os.kill(os.getpid(), signal_)
        return original(self, *args)

    monkeypatch.setattr(Trainer, "train_step", step)


def assert_same_result(job: PretrainJob, other: PretrainJob) -> None:
    assert without_times(read_log(job.log)) == without_times(read_log(other.log))
    for view in job.views:
        first, second = (load_file(j.output / f"{view}.safetensors") for j in (job, other))
        assert first.keys() == second.keys()
        assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_stage1_learns_and_writes_encoder_and_log(job: Job, run: Run, settings: Settings) -> None:
    stage = {"epochs": 12, "batch_size": 8, "learning_rate": 3e-3}
    this = job(settings=settings(stage1=stage))
    run(this)
    rows = read_log(this.log)
    assert [row["epoch"] for row in rows] == list(range(1, 13))
    assert rows[-1]["step"] == 12 * 2
    assert rows[-1]["loss"] < 0.6 * rows[0]["loss"]
    expected = {"loss", "cpc/rgb", "accuracy/rgb", "learning_rate", "data_seconds", "compute_seconds"}
    assert expected <= rows[0].keys()
    info = read_info(this.output / "rgb.safetensors")
    assert (info.view, info.pretraining, info.extra["epoch"]) == ("rgb", "stage1", 12)
    assert not list(this.state.iterdir())


@pytest.mark.parametrize("preset", ["cpc", "cocon"])
def test_stage2_trains_all_views_from_stage1(job: Job, run: Run, tmp_path: Path, preset: str) -> None:
    for view in ("rgb", "mask"):
        run(job(views=[view], output=tmp_path / "stage1", log=tmp_path / f"{view}.jsonl"))
    this = job(views=["rgb", "mask"], stage="stage2", preset=preset, init=tmp_path / "stage1")
    run(this)
    row = read_log(this.log)[-1]
    assert {"cpc/rgb", "cpc/mask"} <= row.keys()
    assert ("sync/rgb-mask" in row) == ("sim/rgb-mask" in row) == (preset == "cocon")
    for view in ("rgb", "mask"):
        before = load_file(tmp_path / "stage1" / f"{view}.safetensors")
        after = load_file(this.output / f"{view}.safetensors")
        assert read_info(this.output / f"{view}.safetensors").pretraining == preset
        assert any(not torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(("steps", "checkpoint_every"), [(2, 1), (5, 1), (8, 2), (3, 100)])
def test_resumed_is_the_same_as_uninterrupted(
    job: Job, run: Run, settings: Settings, tmp_path: Path, steps: int, checkpoint_every: int
) -> None:
    """Three steps an epoch: in the middle, in a later epoch, between checkpoints, and at the end of one."""
    whole = job(settings=settings(validation_fraction=0.2), output=tmp_path / "w", log=tmp_path / "w" / "log")
    run(whole)
    changed = settings(validation_fraction=0.2, checkpoint_every=checkpoint_every)
    this = job(settings=changed)
    with pytest.MonkeyPatch.context() as patch:
        stop_after(steps, patch)
        with pytest.raises(TrainingInterruptedError, match="state is saved") as error:
            run(this)
    assert "same command" in error.value.hint
    assert not this.output.exists()
    run(this)
    assert_same_result(this, whole)


def test_every_signal_stops_and_several_stops_are_no_harm(job: Job, run: Run, tmp_path: Path) -> None:
    whole = job(output=tmp_path / "whole", log=tmp_path / "whole" / "log")
    run(whole)
    for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGTERM):
        with pytest.MonkeyPatch.context() as patch:
            stop_after(3, patch, number)
            with pytest.raises(TrainingInterruptedError, match=number.name):
                run(job())
    run(job())
    assert_same_result(job(), whole)


def test_a_state_of_other_settings_is_not_used(
    job: Job, run: Run, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stop_after(6, patch)
        with pytest.raises(TrainingInterruptedError):
            run(job())
    changed = settings(stage1={"epochs": 3, "batch_size": 4, "learning_rate": 2e-3})
    for other in (job(settings=changed), job(seed=1), job(views=["mask"])):
        run(other)
        fresh = dataclasses.replace(
            other, state=tmp_path / "fresh", output=tmp_path / "f", log=tmp_path / "f.log"
        )
        run(fresh)
        assert_same_result(other, fresh)
    assert len(list(job().state.iterdir())) == 1


def test_a_damaged_state_is_an_error_that_names_it(job: Job, run: Run) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stop_after(6, patch)
        with pytest.raises(TrainingInterruptedError):
            run(job())
    (path,) = job().state.glob("*/state.pt")
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(CheckpointError, match="cannot be read"):
        run(job())
    shutil.rmtree(path.parent)
    run(job())


def test_plateau_lowers_the_learning_rate(job: Job, run: Run, settings: Settings) -> None:
    stage = {"epochs": 6, "batch_size": 4, "learning_rate": 1e-6}
    changed = settings(stage1=stage, validation_fraction=0.3, plateau_patience=1, minimum_learning_rate=2e-7)
    this = job(settings=changed)
    run(this)
    rates = [row["learning_rate"] for row in read_log(this.log)]
    assert rates[0] == 1e-6
    assert rates[-1] < 1e-6
    assert min(rates) >= 2e-7
    assert all("validation/cpc/rgb" in row for row in read_log(this.log))


def test_cosine_reaches_the_minimum_also_when_resumed(job: Job, run: Run, settings: Settings) -> None:
    stage = {"epochs": 4, "batch_size": 4, "learning_rate": 1e-3}
    this = job(settings=settings(stage1=stage, schedule="cosine", minimum_learning_rate=1e-4))
    with pytest.MonkeyPatch.context() as patch:
        stop_after(6, patch)
        with pytest.raises(TrainingInterruptedError):
            run(this)
    run(this)
    rates = [row["learning_rate"] for row in read_log(this.log)]
    expected = [1e-4 + 0.9e-3 * (1 + math.cos(math.pi * epoch / 4)) / 2 for epoch in range(4)]
    assert rates == pytest.approx(expected)


def test_loss_that_is_no_number_names_the_videos(job: Job, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Trainer.train_step

    def poisoned(self: Trainer, inputs: dict[str, torch.Tensor], video_ids: list[str]) -> dict[str, float]:
        if self.step == 1:
            inputs["rgb"][0] = torch.nan
        return original(self, inputs, video_ids)

    monkeypatch.setattr(Trainer, "train_step", poisoned)
    with pytest.raises(
        TrainingDivergedError, match=r"not finite in epoch 1, step 2 .*p\d_\d, p\d_\d, p\d_\d"
    ):
        run(job())
    assert not job().output.exists()


def test_reduced_precision_learns_too(job: Job, run: Run, settings: Settings) -> None:
    this = job(settings=settings(stage1={"epochs": 8, "batch_size": 8, "learning_rate": 3e-3}, amp="bf16"))
    run(this)
    rows = read_log(this.log)
    assert rows[-1]["loss"] < 0.8 * rows[0]["loss"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("amp", ["off", "bf16", "fp16"])
def test_learns_on_a_gpu(job: Job, settings: Settings, amp: str) -> None:
    this = job(settings=settings(stage1={"epochs": 8, "batch_size": 8, "learning_rate": 3e-3}, amp=amp))
    pretrain(this, World(resolve_device("cuda")))
    rows = read_log(this.log)
    assert rows[-1]["loss"] < 0.8 * rows[0]["loss"]


@pytest.mark.parametrize("on", [False, True])
def test_compile_is_a_switch(
    job: Job, run: Run, settings: Settings, monkeypatch: pytest.MonkeyPatch, on: bool
) -> None:
    compiled: list[torch.nn.Module] = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: compiled.append(self))
    run(job(settings=settings(compile=on)))
    assert [type(module) for module in compiled] == ([ViewNetwork] if on else [])


def test_workers_and_cache_do_not_change_the_result(
    job: Job, run: Run, settings: Settings, tmp_path: Path
) -> None:
    plain = job(settings=settings(cache_megabytes=0), output=tmp_path / "p", log=tmp_path / "p.log")
    run(plain)
    other = job(settings=settings(workers=1))
    run(other)
    assert_same_result(plain, other)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"preset": "cocon"}, ConfigError, "nothing to act on"),
        ({"init": Path("x")}, ConfigError, "from scratch"),
        ({"stage": "stage2"}, ConfigError, "needs encoders"),
        ({"views": ["rgb", "rgb"]}, ConfigError, "named twice"),
        ({"views": ["flow"]}, ShardError, "no shard in"),
        ({"stage": "stage2", "init": Path("nowhere")}, CheckpointError, "no checkpoint nowhere/rgb"),
        ({"split": "7"}, DatasetError, "no split '7'"),
    ],
)
def test_mistakes(job: Job, run: Run, changes: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        run(job(**changes))


def test_fewer_videos_than_a_batch(job: Job, run: Run, settings: Settings) -> None:
    with pytest.raises(DatasetError, match="16 training videos do not fill one batch of 17"):
        run(job(settings=settings(stage1={"epochs": 1, "batch_size": 17})))


def test_stage2_refuses_encoders_of_another_network(
    job: Job, run: Run, settings: Settings, tmp_path: Path
) -> None:
    run(job(output=tmp_path / "stage1"))
    wider = settings().model_copy(update={"network": settings().network.model_copy(update={"width": 16})})
    with pytest.raises(CheckpointError, match=r"another network: width 8 \(not 16\)"):
        run(job(stage="stage2", init=tmp_path / "stage1", settings=wider))


def test_random_initialisation_is_where_stage1_starts(job: Job, run: Run, settings: Settings) -> None:
    this = job(settings=settings(stage1={"epochs": 1, "batch_size": 16, "learning_rate": 1e-30}))
    run(this)
    trained, _ = load_encoder(this.output / "rgb.safetensors")
    start = initial_network("rgb", this.settings.network, 0)
    for (name, one), (_, other) in zip(trained.named_parameters(), start.named_parameters(), strict=True):
        torch.testing.assert_close(one, other, msg=name)
