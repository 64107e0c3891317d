from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from cocon.data import loader
from cocon.datasets.manifest import read_manifest, write_manifest
from cocon.errors import CheckpointError, CoConError, ConfigError, DatasetError, ShardError
from cocon.models.network import ViewNetwork
from cocon.training import probe, saving, state, trainer
from cocon.training.checkpoint import load_encoder, read_info
from cocon.training.devices import World, resolve_device
from cocon.training.divergence import StepValues, TrainingDivergedError
from cocon.training.initialise import initial_network
from cocon.training.interrupt import TrainingInterruptedError
from cocon.training.log import Row, read_log
from cocon.training.pretrain import pretrain
from cocon.training.pretrain_job import PretrainJob
from cocon.training.settings import PretrainSettings
from cocon.training.trainer import Trainer

Run = Callable[[PretrainJob], None]
Job = Callable[..., PretrainJob]
Settings = Callable[..., PretrainSettings]


MEASURED = {"data_seconds", "compute_seconds", "data_share", "clips_per_second", "peak_memory_mb"}


@pytest.fixture(autouse=True)
def short_epochs_are_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint after every epoch, as if each took a minute."""
    monkeypatch.setattr(saving, "_APART", 0.0)


def without_times(rows: list[Row]) -> list[Row]:
    return [{key: value for key, value in row.items() if key not in MEASURED} for row in rows]


@contextlib.contextmanager
def interrupted_after(
    steps: int, *, signal_: signal.Signals = signal.SIGTERM, match: str | None = None
) -> Iterator[pytest.ExceptionInfo[TrainingInterruptedError]]:
    """A training that gets a signal during the given step, counted over all epochs, and stops."""
    original, seen = Trainer.train_step, []

    def step(self: Trainer, *args: Any) -> StepValues:
        seen.append(self.step)
        if len(seen) == steps:
            os.kill(os.getpid(), signal_)
        return original(self, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "train_step", step)
        with pytest.raises(TrainingInterruptedError, match=match) as error:
            yield error


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
    assert {"loss", "cpc/rgb", "accuracy/rgb", "learning_rate", "gradient_norm"} | MEASURED <= rows[0].keys()
    assert all(0 <= row["data_share"] <= 1 and row["clips_per_second"] > 0 for row in rows)
    info = read_info(this.output / "rgb.safetensors")
    assert (info.view, info.pretraining, info.extra["epoch"]) == ("rgb", "stage1", 12)
    assert info.extra["hardware"].endswith(f"{torch.get_num_threads()} threads")
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


def test_cmc_starts_anywhere_and_has_the_epochs_of_both_stages(job: Job, run: Run, tmp_path: Path) -> None:
    """L_cpc of stage 1 is no part of it, yet all presets have the same number of epochs."""
    for view in ("rgb", "mask"):
        run(job(views=[view], output=tmp_path / "stage1", log=tmp_path / f"{view}.jsonl"))
    epochs = {}
    for preset in ("cmc", "cocon"):
        folder = tmp_path / preset
        this = job(views=["rgb", "mask"], stage="stage2", preset=preset, init=tmp_path / "stage1")
        this = dataclasses.replace(this, output=folder, log=folder / "log.jsonl")
        run(this)
        epochs[preset] = len(read_log(this.log))
        assert read_info(folder / "rgb.safetensors").extra["epoch"] == epochs[preset]
    assert epochs == {"cmc": 3 + 2, "cocon": 2}


@pytest.mark.parametrize(("steps", "checkpoint_every"), [(2, 1), (5, 1), (8, 2), (3, 100)])
def test_resumed_is_the_same_as_uninterrupted(
    job: Job, run: Run, settings: Settings, tmp_path: Path, steps: int, checkpoint_every: int
) -> None:
    """Three steps an epoch: in the middle, in a later epoch, between checkpoints, and at the end of one."""
    whole = job(settings=settings(validation_fraction=0.2), output=tmp_path / "w", log=tmp_path / "w" / "log")
    run(whole)
    changed = settings(validation_fraction=0.2, checkpoint_every=checkpoint_every)
    this = job(settings=changed)
    with interrupted_after(steps, match="state is saved") as error:
        run(this)
    assert "same command" in error.value.hint
    assert not list(this.output.glob("*.safetensors"))
    run(this)
    assert_same_result(this, whole)


def test_every_signal_stops_and_several_stops_are_no_harm(job: Job, run: Run, tmp_path: Path) -> None:
    whole = job(output=tmp_path / "whole", log=tmp_path / "whole" / "log")
    run(whole)
    for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGTERM):
        with interrupted_after(3, signal_=number, match=number.name):
            run(job())
    run(job())
    assert_same_result(job(), whole)


def test_a_state_of_other_settings_is_not_used(
    job: Job, run: Run, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with interrupted_after(6):
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


def test_damaged_checkpoints(job: Job, run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One: the run goes back to the one before, and ends with the same bits. All: an error."""
    whole = job(output=tmp_path / "whole", log=tmp_path / "whole" / "log")
    run(whole)

    def interrupted() -> list[Path]:
        with interrupted_after(7):
            run(job())
        return sorted(job().state.glob("*/step_*.pt"))

    older, newer = interrupted()
    newer.write_bytes(newer.read_bytes()[:-2000])
    run(job())
    assert_same_result(job(), whole)
    assert f"{newer} cannot be read" in caplog.text
    assert "going back" in caplog.text

    older, newer = interrupted()
    for path in (older, newer):
        content = bytearray(path.read_bytes())
        content[len(content) // 2 : len(content) // 2 + 64] = bytes(64)
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot be read"):
        run(job())
    shutil.rmtree(older.parent)
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


def test_cosine_and_warm_up_also_when_resumed(job: Job, run: Run, settings: Settings) -> None:
    stage = {"epochs": 4, "batch_size": 4, "learning_rate": 1e-3}
    changed = settings(stage1=stage, schedule="cosine", minimum_learning_rate=1e-4, warmup_epochs=1)
    this = job(settings=changed)
    with interrupted_after(6):
        run(this)
    run(this)
    rates = [row["learning_rate"] for row in read_log(this.log)]
    last_steps = [(epoch - 0.25 - 1) / 3 for epoch in range(2, 5)]
    expected = [1e-4 + 0.9e-3 * (1 + math.cos(math.pi * part)) / 2 for part in last_steps]
    assert rates == pytest.approx([1e-3, *expected])


def test_loss_that_is_no_number_names_the_videos(job: Job, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Trainer.compare

    def poisoned(self: Trainer, inputs: dict[str, torch.Tensor], videos: Any) -> dict[str, torch.Tensor]:
        if self.step == 1:
            inputs["rgb"][0] = torch.nan
        return original(self, inputs, videos)

    monkeypatch.setattr(Trainer, "compare", poisoned)
    with pytest.raises(
        TrainingDivergedError, match=r"not finite in epoch 1, step 2 .*p\d_\d, p\d_\d, p\d_\d"
    ):
        run(job())
    assert not list(job().output.glob("*.safetensors"))


@pytest.mark.parametrize(("amp", "epochs"), [("bf16", 8), ("fp16", 20)])
def test_reduced_precision_learns_too(job: Job, run: Run, settings: Settings, amp: str, epochs: int) -> None:
    """fp16 leaves its first steps out, until its scale fits."""
    this = job(settings=settings(stage1={"epochs": epochs, "batch_size": 8, "learning_rate": 3e-3}, amp=amp))
    run(this)
    rows = read_log(this.log)
    assert rows[-1]["loss"] < 0.8 * rows[0]["loss"]


def test_channels_last_changes_layout_and_not_the_loss(
    job: Job, run: Run, settings: Settings, tmp_path: Path
) -> None:
    plain = job(output=tmp_path / "plain", log=tmp_path / "plain" / "log")
    run(plain)
    this = job(settings=settings(channels_last_3d=True))
    with interrupted_after(4):
        run(this)
    layouts: list[bool] = []
    original = Trainer.compare

    def compare(self: Trainer, inputs: dict[str, torch.Tensor], videos: Any) -> dict[str, torch.Tensor]:
        weights = [p for p in self.module.parameters() if p.dim() == 5]
        layouts.extend(w.is_contiguous(memory_format=torch.channels_last_3d) for w in weights)
        return original(self, inputs, videos)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "compare", compare)
        run(this)
    assert layouts
    assert all(layouts)
    first, second = (read_log(j.log)[0] for j in (this, plain))
    assert first["loss"] == pytest.approx(second["loss"], rel=1e-3)


def test_the_probe_changes_nothing_else(
    job: Job, labelled: Job, run: Run, settings: Settings, tmp_path: Path
) -> None:
    plain = job(output=tmp_path / "plain", log=tmp_path / "plain" / "log")
    run(plain)
    this = labelled(settings=settings(probe_every=2, probe_videos=12))
    run(this)
    start, *rows = read_log(this.log)
    shares = {"linear/rgb", "knn/rgb", "neighbours/rgb", "neighbours/chance"}
    probed = {*shares, "cosine_same/rgb", "cosine_other/rgb"}
    assert start.keys() == {"epoch", "step", *probed}
    assert (start["epoch"], start["step"]) == (0, 0)
    assert [probed <= row.keys() for row in rows] == [False, True, False]
    for row in (start, rows[1]):
        assert all(0 <= row[name] <= 1 for name in shares)
        assert -1 <= row["cosine_other/rgb"] <= 1
    expected = without_times(read_log(plain.log))
    assert [{k: v for k, v in row.items() if k not in probed} for row in without_times(rows)] == expected


@pytest.mark.parametrize("steps", [1, 5])
def test_the_starting_point_is_measured_once(
    labelled: Job, run: Run, settings: Settings, tmp_path: Path, steps: int
) -> None:
    """Stopped after the first step, and in a later epoch."""
    chosen = settings(probe_every=3, probe_videos=12)
    whole = labelled(settings=chosen, output=tmp_path / "w", log=tmp_path / "w" / "log")
    run(whole)
    assert [row["epoch"] for row in read_log(whole.log)] == [0, 1, 2, 3]
    this = labelled(settings=chosen)
    with interrupted_after(steps):
        run(this)
    run(this)
    assert_same_result(this, whole)


def test_stage_2_starts_where_stage_1_has_ended(
    labelled: Job, run: Run, settings: Settings, tmp_path: Path
) -> None:
    short = {"epochs": 1, "batch_size": 4}
    chosen = settings(probe_every=1, probe_videos=12, stage1=short, stage2=short)
    views = ("rgb", "mask")
    for view in views:
        this = labelled(settings=chosen, views=[view], output=tmp_path / "stage1")
        run(dataclasses.replace(this, log=tmp_path / f"{view}.jsonl"))
    this = labelled(settings=chosen, views=list(views), stage="stage2", init=tmp_path / "stage1")
    run(this)
    start = read_log(this.log)[0]
    for view in views:
        end = read_log(tmp_path / f"{view}.jsonl")[-1]
        for name in ("linear", "knn", "neighbours", "cosine_same", "cosine_other"):
            assert start[f"{name}/{view}"] == pytest.approx(end[f"{name}/{view}"], abs=1e-6)
    assert {"cosine_same/rgb-mask", "cosine_other/rgb-mask"} <= start.keys()


def test_best_encoders(job: Job, run: Run, settings: Settings) -> None:
    changed = settings(validation_fraction=0.2, result="best", stage1={"epochs": 5, "batch_size": 4})
    run(job(settings=changed))
    losses = [row["validation/loss"] for row in read_log(job().log)]
    info = read_info(job().output / "rgb.safetensors")
    assert losses[info.extra["epoch"] - 1] == min(losses)


@pytest.mark.parametrize(("steps", "accumulate"), [(12, 1), (9, 1), (5, 2)])
def test_steps_are_whole_epochs_bit_for_bit(
    job: Job, run: Run, settings: Settings, tmp_path: Path, steps: int, accumulate: int
) -> None:
    """16 videos are 4 batches of 4; the run of three epochs is the same, however its length is given."""
    stage = {"batch_size": 4, "accumulate": accumulate}
    keys = {"schedule": "cosine"}
    per_epoch = 4 // accumulate
    jobs = [
        job(
            settings=settings(stage1={**stage, **length}, **keys, **warmup),
            output=tmp_path / name,
            log=tmp_path / name / "log",
        )
        for name, length, warmup in (
            ("epochs", {"epochs": 3}, {"warmup_epochs": 1}),
            ("steps", {"steps": steps}, {"warmup_steps": per_epoch}),
        )
    ]
    for this in jobs:
        run(this)
    assert_same_result(*jobs)
    assert len(read_log(jobs[0].log)) == 3
    assert [read_info(this.output / "rgb.safetensors").extra["epochs"] for this in jobs] == [3, 3]


def test_few_videos_are_trained_on_as_long_as_many(job: Job, settings: Settings) -> None:
    stages = {"stage1": {"steps": 100, "batch_size": 4}, "stage2": {"steps": 60, "batch_size": 4}}
    alone = job(settings=settings(**stages))
    assert [alone.length(videos, 1) for videos in (600, 60, 7)] == [(1, 150), (7, 15), (100, 1)]
    assert alone.length(60, 4) == (34, 3)
    assert [
        job(settings=settings(**stages), stage="stage2", preset=p).length(60, 1)[0] for p in ("cocon", "cmc")
    ] == [
        4,
        4 + 7,
    ]


def test_a_sum_of_epochs_and_steps_is_refused(job: Job, settings: Settings) -> None:
    mixed = settings(stage1={"steps": 8, "batch_size": 4})
    this = job(settings=mixed, stage="stage2", preset="cmc", init=Path("x"))
    with pytest.raises(ConfigError, match="one has epochs, the other steps") as error:
        this.check()
    assert "both epochs, or both steps" in error.value.hint
    dataclasses.replace(this, preset="cocon").check()
    job(settings=mixed).check()


@pytest.fixture
def labelled(job: Job, tmp_path: Path) -> Callable[..., PretrainJob]:
    """A job whose videos have the number of their take as a label; of 8 people, who are groups."""
    path = tmp_path / "labelled.csv"

    def make(relabel: Callable[[str], str] = lambda name: name[-1], **changes: Any) -> PretrainJob:
        videos = read_manifest(job().manifest)
        write_manifest(path, [dataclasses.replace(video, label=relabel(video.id)) for video in videos])
        return job(manifest=path, **changes)

    return make


BY_PROBE = {"result": "best", "best_by": "probe", "best_every": 1}


def test_the_best_epoch_by_neighbours_of_other_groups(
    labelled: Job, run: Run, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the whole measurement only which epoch it chooses is set here; of equal ones it is the last."""
    figures = iter([5, 9, 9, 4])
    monkeypatch.setattr(probe, "group_knn", lambda *_: next(figures))
    this = labelled(settings=settings(stage1={"epochs": 4, "batch_size": 4}, **BY_PROBE))
    kept: list[dict[str, torch.Tensor]] = []
    figure_of = Trainer.figure

    def noted(self: Trainer, row: Row) -> float | None:
        kept.append({name: x.clone() for name, x in self.networks["rgb"].state_dict().items()})
        return figure_of(self, row)

    monkeypatch.setattr(Trainer, "figure", noted)
    run(this)
    assert [row["group_knn/rgb"] for row in read_log(this.log)] == [n / 16 for n in (5, 9, 9, 4)]
    info = read_info(this.output / "rgb.safetensors")
    assert (info.extra["epoch"], info.extra["epochs"]) == (3, 4)
    assert info.extra["chosen_by"] == "k-NN on labelled training videos"
    weights = load_file(this.output / "rgb.safetensors")
    assert all(torch.equal(weights[name], x) for name, x in kept[2].items())


@pytest.mark.parametrize("steps", [2, 6, 9])
def test_a_choice_by_probe_is_the_same_when_resumed(
    labelled: Job, run: Run, settings: Settings, tmp_path: Path, steps: int
) -> None:
    chosen = settings(stage1={"epochs": 3, "batch_size": 4}, **BY_PROBE)
    whole = labelled(settings=chosen, output=tmp_path / "w", log=tmp_path / "w" / "log")
    run(whole)
    this = labelled(settings=chosen)
    with interrupted_after(steps):
        run(this)
    run(this)
    assert_same_result(this, whole)
    epochs = [read_info(j.output / "rgb.safetensors").extra["epoch"] for j in (this, whole)]
    accuracies = [row["group_knn/mean"] for row in read_log(whole.log)]
    assert epochs == [max(n + 1 for n, value in enumerate(accuracies) if value == max(accuracies))] * 2


def test_a_choice_by_probe_does_not_change_the_training(
    labelled: Job, run: Run, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default it is measured a few times, and after the last epoch."""
    monkeypatch.setattr(trainer, "_CHOICES", 2)
    stage = {"epochs": 5, "batch_size": 8}
    plain = labelled(settings=settings(stage1=stage), output=tmp_path / "p", log=tmp_path / "p" / "log")
    this = labelled(settings=settings(stage1=stage, **BY_PROBE | {"best_every": None}))
    run(plain)
    run(this)
    rows, measured = read_log(this.log), {"group_knn/rgb", "group_knn/mean"}
    assert [measured <= row.keys() for row in rows] == [False, False, True, False, True]
    without = [{key: value for key, value in row.items() if key not in measured} for row in rows]
    assert without_times(without) == without_times(read_log(plain.log))


def test_other_labels_are_another_run(labelled: Job, run: Run, settings: Settings) -> None:
    """Where labels choose; those of test videos never do."""
    chosen = settings(**BY_PROBE)
    for relabel, kept in (
        (lambda name: name[-1], 1),
        (lambda name: "x" if name.startswith("p8") else name[-1], 1),  # tested
        (lambda name: "1" if name == "p0_0" else name[-1], 2),
    ):
        with interrupted_after(1):
            run(labelled(relabel, settings=chosen))
        assert len(list(labelled().state.glob("*/"))) == kept


def test_without_labels_nothing_can_be_chosen_by_them(job: Job, run: Run, settings: Settings) -> None:
    with pytest.raises(DatasetError, match="best_by: probe needs labelled training videos") as error:
        run(job(settings=settings(**BY_PROBE)))
    assert "validation_loss" in error.value.hint
    assert not job().state.exists()


def test_stage2_says_that_labels_chose_what_it_starts_from(
    labelled: Job, run: Run, settings: Settings, tmp_path: Path
) -> None:
    first = labelled(settings=settings(**BY_PROBE), output=tmp_path / "stage1", log=tmp_path / "l.jsonl")
    run(first)
    this = labelled(stage="stage2", preset="cpc", init=tmp_path / "stage1")
    run(this)
    extra = read_info(this.output / "rgb.safetensors").extra
    assert "chosen_by" not in extra
    assert extra["start_chosen_by"] == "k-NN on labelled training videos"


@pytest.mark.usefixtures("as_program")
def test_a_checkpoint_of_other_settings_is_refused_when_it_is_asked_for(
    job: Job, run: Run, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    with interrupted_after(3):
        run(job())
    (path,) = job().state.glob("*/step_*.pt")
    stage = {"epochs": 1, "batch_size": 4, "learning_rate": 2e-3}
    other = job(settings=settings(stage1=stage), resume=path)
    with pytest.raises(CheckpointError, match=r"pretraining.stage1.learning_rate: \(default\) -> 0.002"):
        run(other)
    with pytest.raises(CheckpointError, match=r"processes: 1 -> 2|seed: 0 -> 1"):
        run(job(seed=1, resume=path))
    run(dataclasses.replace(other, resume=None))
    told = capsys.readouterr().err
    assert "starting at epoch 1" in told
    assert "pretraining.stage1.epochs: 3 -> 1" in told
    run(job(resume=path))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("amp", ["auto", "off", "bf16", "fp16"])
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
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **_: compiled.append(self))
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


def test_a_learning_rate_without_bounds_is_refused_before_the_first_step(
    job: Job, run: Run, settings: Settings
) -> None:
    known = settings(stage1={"epochs": 1, "batch_size": 4})
    stage = known.pretraining.stage1.model_copy(update={"learning_rate": math.inf})  # past the schema
    pretraining = known.pretraining.model_copy(update={"stage1": stage})
    with pytest.raises(ConfigError, match="a learning rate of inf"):
        run(job(settings=known.model_copy(update={"pretraining": pretraining})))
    assert not list(job().state.iterdir())


def test_the_log_has_its_name_when_the_run_is_done(job: Job, run: Run) -> None:
    with interrupted_after(5):
        run(job())
    assert not job().log.exists()
    assert [row["epoch"] for row in read_log(next(job().state.glob("*/log.jsonl")))] == [1]
    run(job())
    assert [row["epoch"] for row in read_log(job().log)] == [1, 2, 3]


def test_two_at_once_are_refused_but_not_two_runs(
    job: Job, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "PATIENCE", 0.0)
    other = job(seed=1, output=tmp_path / "other", log=tmp_path / "other.jsonl")
    original, met = Trainer.fit, []

    def fit(self: Trainer, resume: Path | None) -> list[Row]:
        if not met:
            met.append(True)
            with pytest.raises(CoConError, match="another process is at work on this run"):
                run(job())
            run(other)
        return original(self, resume)

    monkeypatch.setattr(Trainer, "fit", fit)
    run(job())
    assert job().log.exists()
    assert other.log.exists()


@pytest.mark.parametrize("free", [0, 2**40])
def test_workers_without_shared_memory_are_refused_at_the_start(
    job: Job, run: Run, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: int
) -> None:
    monkeypatch.setattr(loader, "_SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_bavail=free, f_frsize=1))
    this = job(settings=settings(workers=1))
    if free:
        run(this)
        return
    with pytest.raises(loader.WorkerError, match="load up to 0 MiB in advance"):
        run(this)
    assert not list(this.state.iterdir())


@pytest.mark.parametrize(
    ("changes", "refused"), [({}, True), ({"validation_fraction": 0.2}, True), ({}, False)]
)
def test_frames_smaller_than_the_crop_are_refused_at_the_start(
    job: Job, run: Run, settings: Settings, tmp_path: Path, changes: dict[str, Any], refused: bool
) -> None:
    """Unless they are scaled to it, and there is nothing that is not."""
    augmentation = {"resized_crop": ("rgb",)} if changes or not refused else {}
    chosen = settings(augmentation=augmentation, stage1={"epochs": 1, "batch_size": 4}, **changes)
    clip = chosen.clip.model_copy(update={"crop": {"rgb": 40}})
    this = job(settings=chosen.model_copy(update={"clip": clip}))
    if not refused:
        run(this)
        return
    with pytest.raises(ConfigError, match="36 x 36 px are smaller than the crop of 40 px"):
        run(this)
    assert not this.state.exists()
