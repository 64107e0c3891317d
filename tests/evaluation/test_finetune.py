from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cocon.cli import main
from cocon.config.schema import Finetune, LinearSgd
from cocon.data.clips import read_windows
from cocon.data.network_input import to_network_input
from cocon.errors import CoConError, ConfigError, ShardError
from cocon.evaluation import finetune as module
from cocon.evaluation.classifier_file import load_classifier
from cocon.evaluation.classifier_trainer import ClassifierTrainer
from cocon.evaluation.finetune import FinetuneJob, finetune
from cocon.evaluation.scores import ClassScores
from cocon.evaluation.settings import FinetuneSettings
from cocon.files import read_json
from cocon.shards import ShardSet
from cocon.training import state as state_module
from cocon.training.checkpoint import load_encoder
from cocon.training.divergence import StepValues, TrainingDivergedError
from cocon.training.interrupt import TrainingInterruptedError
from cocon.training.log import read_log
from cocon.training.state import RunState

CPU = torch.device("cpu")


def _job(
    root: Path, epochs: int = 3, folder: str = "out", protocol: str = "finetune", **more: object
) -> FinetuneJob:
    defaults = {"batch_size": 6, "learning_rate": 0.01, "dropout": 0.3}
    schedule = {"epochs": epochs, **defaults, **more}
    return FinetuneJob(
        manifest=root / "manifest.csv",
        shards=root / "shards",
        view="mask",
        checkpoint=root / "mask.safetensors",
        split="1",
        output=root / folder / "finetune_split1.json",
        state=root / "state",
        settings=FinetuneSettings.model_validate({protocol: schedule, "bootstrap": 50}),
        seed=3,
        protocol=protocol,
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


def test_steps_in_place_of_epochs(striped: Path) -> None:
    """18 videos are 3 steps of 6, so 7 steps are 3 epochs."""
    by_epochs, by_steps = _job(striped, warmup_epochs=1), _job(striped, folder="steps", warmup_steps=3)
    length = by_steps.section.model_copy(update={"epochs": None, "steps": 7})
    by_steps = replace(by_steps, settings=by_steps.settings.model_copy(update={"finetune": length}))
    for job in (by_epochs, by_steps):
        finetune(job, CPU)
    np.testing.assert_array_equal(_probabilities(by_epochs), _probabilities(by_steps))
    logs = [read_log(job.output.with_suffix(".log.jsonl")) for job in (by_epochs, by_steps)]
    assert [[row[key] for row in logs[0]] for key in ("step", "loss", "learning_rate")] == [
        [row[key] for row in logs[1]] for key in ("step", "loss", "learning_rate")
    ]


def test_the_classifier_that_is_kept_is_the_one_that_was_tested(striped: Path) -> None:
    job = _job(striped, epochs=1)
    finetune(job, CPU)
    classifier, info = load_classifier(job.output.with_suffix(".safetensors"), view="mask")
    assert (info.classes, info.task.protocol, info.task.seed) == (("jump", "run", "walk"), "finetune", 3)
    scores = ClassScores.load(job.output.with_suffix(".npz"))
    windows = read_windows(ShardSet.of_folder(striped / "shards" / "mask"), scores.ids[0], info.clip, "mask")
    logits = classifier(to_network_input(torch.from_numpy(windows), "mask", info.clip))
    np.testing.assert_allclose(
        logits.softmax(1).mean(0).detach(), scores.probabilities[0], rtol=1e-4, atol=1e-6
    )


def _watch_trainers(monkeypatch: pytest.MonkeyPatch) -> list[ClassifierTrainer]:
    """The trainers that are made from now on."""
    trainers = []
    fit = ClassifierTrainer.fit
    monkeypatch.setattr(ClassifierTrainer, "fit", lambda self: (trainers.append(self), fit(self))[1])
    return trainers


def test_the_backbone_learns_ten_times_more_slowly(striped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainers = _watch_trainers(monkeypatch)
    before, _ = load_encoder(striped / "mask.safetensors")
    finetune(_job(striped, epochs=1, protocol="finetune_coclr", milestones=[]), CPU)
    trainer = trainers[0]
    head, backbone = trainer.optimiser.param_groups
    classifier = trainer.classifier
    expected = [*classifier.encoder.parameters(), *classifier.aggregator.parameters()]
    assert len(expected) > 20
    assert {id(p) for p in backbone["params"]} == {id(p) for p in expected}
    assert {id(p) for p in head["params"]} == {
        id(p) for part in (classifier.norm, classifier.linear) for p in part.parameters()
    }
    assert (head["lr"], backbone["lr"]) == (0.01, pytest.approx(0.001))
    assert trainer.rows[-1]["learning_rate"] == 0.01
    # An Adam step is at most about its learning rate: three steps of 0.001 for every weight of the backbone.
    moved = [
        (now - then).abs().max().item()
        for now, then in zip(classifier.encoder.parameters(), before.encoder.parameters(), strict=True)
    ]
    assert min(moved) > 0
    assert max(moved) < 0.0035


def test_linear_sgd_leaves_the_encoder_as_it_is(striped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainers = _watch_trainers(monkeypatch)
    schedule = LinearSgd().model_dump(include={"learning_rate", "dropout"})
    result = finetune(_job(striped, epochs=12, protocol="linear_sgd", **schedule), CPU)
    assert (result.task.protocol, result.coverage) == ("linear_sgd", pytest.approx(5 / 6))
    rows = read_log(striped / "out" / "finetune_split1.log.jsonl")
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert isinstance(trainers[0].optimiser, torch.optim.SGD)
    assert trainers[0].optimiser.param_groups[0]["weight_decay"] == 1e-3
    assert len(trainers[0].optimiser.param_groups) == 1
    before, _ = load_encoder(striped / "mask.safetensors")
    for name, tensor in trainers[0].classifier.encoder.state_dict().items():
        assert torch.equal(tensor, before.encoder.state_dict()[name]), name


def test_test_crops_change_the_test_and_not_the_training(
    striped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ten, one = (_job(striped, epochs=1, folder=f"crops{n}", test_crops=n) for n in (10, 1))
    finetune(ten, CPU)
    finetune(one, CPU)
    weights = [load_classifier(j.output.with_suffix(".safetensors"))[0].state_dict() for j in (ten, one)]
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())
    assert np.abs(_probabilities(ten) - _probabilities(one)).max() > 1e-6


def test_protocols_are_those_of_the_papers() -> None:
    settings = FinetuneSettings()

    def of(protocol: str) -> tuple[object, ...]:
        s = settings.of(protocol)
        return s.epochs, s.dropout, s.weight_decay, s.learning_rate, s.backbone_rate, s.test_crops

    assert of("finetune") == (100, 0.7, 1e-5, 1e-3, 1, 1)
    assert of("finetune_dpc") == (300, 0.5, 1e-3, 1e-3, 1, 1)
    assert of("finetune_memdpc") == (500, 0.9, 1e-3, 1e-3, 1, 10)
    assert of("finetune_coclr") == (500, 0.9, 1e-3, 1e-3, 0.1, 10)
    assert of("linear_sgd") == (100, 0, 1e-3, 0.1, 0, 1)
    steps = {
        name: [round(m * settings.of(name).epochs) for m in settings.of(name).milestones]
        for name in ("finetune", "finetune_dpc", "finetune_memdpc", "finetune_coclr", "linear_sgd")
    }
    assert steps == {
        "finetune": [50, 70, 90],
        "finetune_dpc": [60, 80, 100],
        "finetune_memdpc": [300, 400],
        "finetune_coclr": [400, 450],
        "linear_sgd": [60, 80],
    }
    assert Finetune().jitter == 0.3


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

    def interrupted(self: ClassifierTrainer, batch: list[object]) -> StepValues:
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
        patch.setattr(module, "class_probabilities", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            finetune(job, CPU)
    log = job.output.with_suffix(".log.jsonl")
    assert not log.exists(), "its name is for a run that is done"
    assert len(read_log(next(job.state.glob("*/log.jsonl")))) == 3
    monkeypatch.setattr(ClassifierTrainer, "train_step", lambda *_: pytest.fail("trains again"))
    assert finetune(job, CPU).n == 5
    assert len(read_log(log)) == 3


def test_two_at_once_are_refused(striped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_module, "PATIENCE", 0.0)
    job = _job(striped)

    def meanwhile(*_: object, **__: object) -> None:
        with pytest.raises(CoConError, match="another process is at work on this run"):
            finetune(job, CPU)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "class_probabilities", meanwhile)
    with pytest.raises(KeyboardInterrupt):
        finetune(job, CPU)


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


def test_shards_of_another_list_are_not_trained_on(
    striped: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fine-tuning and features: a row more in the manifest, or a file that changed."""
    monkeypatch.setattr(ClassifierTrainer, "fit", lambda _: pytest.fail("trains"))
    monkeypatch.setattr("cocon.evaluation.encode.encode_videos", lambda *_, **__: pytest.fail("encodes"))
    manifest = striped / "manifest.csv"
    manifest.write_text(manifest.read_text() + "walk/new,walk/new.mp4,walk,train,g9\n")
    with pytest.raises(ShardError, match=r"1 in no shard \(first: 'walk/new'\)"):
        finetune(_job(striped), CPU)
    files = ["--checkpoint", f"{striped}/mask.safetensors", "--output", f"{striped}/x.h5"]
    paths = ["--manifest", str(manifest), "--shards", f"{striped}/shards", "--view", "mask"]
    assert main(["features", *paths, *files, "--device", "cpu"]) == 2
    assert "1 in no shard (first: 'walk/new')" in capsys.readouterr().err
    assert not (striped / "x.h5").exists()


def test_shards_that_are_left_over_are_not_read(striped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two copies of one shard: what is planned is read by every command, what is not is named."""
    folder = striped / "shards" / "mask"
    (folder / "00001.h5").write_bytes((folder / "00000.h5").read_bytes())
    files = ["--checkpoint", f"{striped}/mask.safetensors", "--output", f"{striped}/x.h5"]
    paths = ["--manifest", f"{striped}/manifest.csv", "--shards", f"{striped}/shards", "--view", "mask"]
    command = ["features", *paths, *files, "--device", "cpu"]
    assert main(command) == 2
    assert "is listed in" in capsys.readouterr().err
    assert main([*command, "--shard-count", "1"]) == 0
    assert capsys.readouterr().err.count("and ignored: 00001.h5") == 1
    assert main([*command, "--shard-count", "3"]) == 2
    assert "00002.h5" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*command, "--shard-count", "0"])
    with pytest.raises(ShardError, match="is listed in"):
        finetune(_job(striped), CPU)
    finetune(replace(_job(striped, epochs=1), shard_count=1), CPU)


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
    own = ["--protocol", "finetune_memdpc", "--name", "mine"]
    settings = '{"finetune_memdpc": {"epochs": 1, "batch_size": 9}, "bootstrap": 10}'
    assert command("--view", "mask", "--split", "1", "--settings", settings, *own) == 0
    assert read_json(striped / "x.json")["protocol"] == "mine"
    assert command("--view", "mask", "--split", "2") == 2
    assert "there is no split '2'" in capsys.readouterr().err
    assert command("--view", "rgb", "--split", "1") == 2
    assert "not of 'rgb'" in capsys.readouterr().err
    assert command("--view", "mask", "--split", "1", "--settings", '{"finetune": {"batch_size": 1}}') == 2
    assert "finetune.batch_size" in capsys.readouterr().err
