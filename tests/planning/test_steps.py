from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cocon.config.schema import Config
from cocon.datasets.manifest import Video
from cocon.errors import ConfigError, DatasetError
from cocon.planning.amount import Roles, count, roles_of
from cocon.planning.extraction import ExtractionCosts, ViewCost
from cocon.planning.rates import Rate, Rates
from cocon.planning.report import document_of, tables
from cocon.planning.steps import Plan
from cocon.planning.timeline import Step

VIEWS = ("rgb", "flow", "mask", "pose")
ROLES = Roles(1000, 800, 1000, 700, 200, 10, "a test")


def config(**changes: Any) -> Config:
    mine = {"kind": "folder", "recipe": "r", "shards": 5, "videos": "videos", "table": "t", **changes}
    return Config.model_validate({"datasets": {"mine": mine}, "recipes": {"r": {}}})


def plan(settings: Config, gpus: int = 0, gpu_tflops: float | None = None) -> Plan:
    # A frame takes 10 ms per view, a clip 1 s alone, .25 s to be judged, 3 s in all views.
    rate = {view: Rate(1.0, 1e12, "cpu", 1) for view in VIEWS}
    judged = {view: Rate(0.25, 0.25e12, "cpu", 1) for view in VIEWS}
    rates = Rates(rate, judged, Rate(3.0, 3e12, "cpu", 1), 1e-6, 1e-9, dict.fromkeys(VIEWS, 1000))
    # Videos of 120 frames: one window each.
    costs = ExtractionCosts(dict.fromkeys(VIEWS, ViewCost(0.01, 100.0, False)), 120_000, ())
    return Plan(settings, "mine", ROLES, costs, rates, gpus, gpu_tflops)


def step(steps: list[Step], name: str) -> Step:
    return next(step for step in steps if step.name == name)


def test_what_a_step_costs() -> None:
    steps = plan(config()).steps()
    rgb, persons = step(steps, "extract rgb"), step(steps, "extract pose mask")
    assert (rgb.jobs, rgb.seconds, rgb.bytes) == (5, pytest.approx(240), 12e6)
    assert (persons.jobs, persons.seconds, persons.bytes) == (5, pytest.approx(480), 24e6)
    # 100 epochs of 720 training clips and 80 that are only looked at
    assert step(steps, "stage1 flow").seconds == pytest.approx(100 * (720 + 80 / 3))
    assert step(steps, "stage2 cocon").seconds == pytest.approx(3 * 60 * (720 + 80 / 3))
    assert step(steps, "features cocon rgb").seconds == pytest.approx(1000 * 0.25)
    assert step(steps, "finetune random pose").seconds == pytest.approx(100 * 700 + 200 * 0.25)
    assert step(steps, "linear stage1 mask").seconds == pytest.approx(1e-6 * 700 * 2000)


def test_protocols_cost_what_their_settings_say() -> None:
    own = {"brief": {"like": "finetune", "epochs": 3}, "rough": {"like": "linear", "max_iterations": 10}}
    evaluation = {"protocols": ["finetune_memdpc", "linear_sgd", "brief", "rough"], "own": own}
    document = config().model_dump() | {"recipes": {"r": {"evaluation": evaluation}}}
    steps = plan(Config.model_validate(document)).steps()
    assert step(steps, "finetune_memdpc cocon rgb").seconds == pytest.approx(500 * 700 + 10 * 200 * 0.25)
    assert step(steps, "linear_sgd cocon rgb").seconds == pytest.approx(100 * 700 * 0.25 + 200 * 0.25)
    assert step(steps, "brief cocon rgb").seconds == pytest.approx(3 * 700 + 200 * 0.25)
    assert step(steps, "rough stage1 rgb").seconds == pytest.approx(1e-6 * 700 * 10)


def test_shards_of_another_data_set_are_not_planned_twice() -> None:
    document = config().model_dump()
    document["datasets"]["other"] = document["datasets"]["mine"]
    document["datasets"]["mine"] = document["datasets"]["mine"] | {"shards_of": "other"}
    steps = plan(Config.model_validate(document)).steps()
    assert {"features", "pretrain_stage1"} < {s.rule for s in steps}
    assert not {"extract", "extract_persons"} & {s.rule for s in steps}


def test_counted_operations_stand_in_for_a_gpu_that_is_not_here() -> None:
    steps = plan(config(), gpus=2, gpu_tflops=10).steps()
    assert step(steps, "stage1 flow").seconds == pytest.approx(0.1 * 100 * (720 + 80 / 3))
    assert {s.rule for s in steps if s.gpus} == {"pretrain_stage1", "pretrain_stage2", "features", "finetune"}
    on_cpu = config().model_copy(update={"device": "cpu"})
    assert not any(s.gpus for s in plan(on_cpu, gpus=2, gpu_tflops=10).steps())


def test_several_processes_share_the_clips_of_a_training() -> None:
    jobs = {"pretrain_stage2": {"nodes": 2, "gpus": 4, "threads": 8}}
    settings = Config.model_validate({**config().model_dump(), "jobs": jobs})
    stage2 = step(plan(settings, gpus=8).steps(), "stage2 cocon")
    assert (stage2.gpus, stage2.threads) == (8, 16)
    assert stage2.seconds == pytest.approx(3 * 60 * (720 + 80 / 3) / 8)
    with pytest.raises(ConfigError, match="stage2 cocon needs 8 GPUs, and there are 4"):
        document_of(plan(settings, gpus=4), 64)
    assert step(plan(settings).steps(), "stage2 cocon").seconds == pytest.approx(3 * 60 * (720 + 80 / 3) / 2)


def test_encoders_of_another_data_set_are_not_planned_twice() -> None:
    mine = {"kind": "folder", "recipe": "r", "shards": 5, "videos": "videos", "table": "t"}
    settings = Config.model_validate(
        {"datasets": {"mine": mine | {"pretrain_on": "other"}, "other": mine}, "recipes": {"r": {}}}
    )
    found = plan(settings)
    assert not {"initialise", "pretrain_stage1", "pretrain_stage2"} & {s.rule for s in found.steps()}
    assert "other, which has a plan of its own" in tables(document_of(found, 8))


def test_the_document_adds_up() -> None:
    document = document_of(plan(config(), gpus=4, gpu_tflops=10), cores=16)
    assert document["jobs"] == sum(stage["jobs"] for stage in document["stages"])
    assert document["bytes"] == sum(stage["bytes"] for stage in document["stages"])
    assert document["critical_hours"] <= document["hours"]
    more = document_of(plan(config(), gpus=8, gpu_tflops=10), cores=64)
    assert more["hours"] < document["hours"]
    path = [part["step"] for part in document["critical_path"]]
    assert path[0].startswith("extract")
    assert path[-1] == "page"
    assert "NOT MEASURED: a GPU keeps up 10 x 10^12" in tables(document)
    assert "NOT MEASURED" not in tables(document_of(plan(config()), 16))


def test_numbers_of_videos() -> None:
    videos = [
        Video("a", Path("a"), "x", "", {"1": "train", "2": "test"}),
        Video("b", Path("b"), "x", "", {"1": "test", "2": "train"}),
        Video("c", Path("c"), "", "", {"1": "train", "2": "train"}),
        Video("d", Path("d"), "y", "", {"1": "", "2": "train"}),
        Video("e", Path("e"), "y", "", {"1": "", "2": ""}),
    ]
    assert count(videos, ("1", "2"), ["1"], "here") == Roles(5, 2, 3, 2, 1, 2, "here", ("1", "2"), 2)
    each = count(videos, ("1", "2"), ["1", "2"], "here")
    assert each.pretrained == round((2 + 3) / 2)
    assert [count(videos, ("1",), [name], "here").pretrained for name in ("common", "all")] == [1, 5]


def test_encoders_for_every_split_are_trained_and_read_once_for_each() -> None:
    once = plan(config()).steps()
    found = plan(config())
    several = replace(found, roles=replace(ROLES, splits=("1", "2", "3"), listed=3))
    steps = several.steps()
    for name in ("stage1 flow", "stage2 cocon", "features cocon rgb", "encoder cocon"):
        assert step(steps, name).jobs == 3 * step(once, name).jobs
        assert step(steps, name).bytes == 3 * step(once, name).bytes
        assert step(steps, name).seconds == step(once, name).seconds
    assert step(steps, "features random rgb") == step(once, "features random rgb")
    assert step(steps, "linear random rgb").jobs == 3
    assert "3 pretrainings" in tables(document_of(several, 8))
    assert "pretrainings" not in tables(document_of(found, 8))


def test_folds_are_planned_with_their_pretrainings(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("video,label\n" + "".join(f"{n}.mp4,{'ab'[n % 2]}\n" for n in range(12)))
    files = {"videos": str(tmp_path), "table": str(tmp_path / "t.csv")}
    for pretrain_split, trainings, pretrained in (("each", 4, 9), ("all", 1, 12)):
        settings = config(**files, folds=4, pretrain_split=pretrain_split)
        roles, _ = roles_of("mine", settings.datasets["mine"])
        assert (roles.splits, roles.listed, roles.pretrained) == (("1", "2", "3", "4"), 4, pretrained)
        assert (roles.train, roles.test) == (9, 3)
        assert replace(plan(settings), roles=roles).trainings == trainings


def test_before_the_lists_are_there_a_public_data_set_has_its_published_numbers(tmp_path: Path) -> None:
    public = {"kind": "kinetics400", "recipe": "r", "shards": 2, "videos": tmp_path, "lists": tmp_path}
    known = Config.model_validate({"datasets": {"k": public}, "recipes": {"r": {}}})
    expected = Roles(
        240_000, 220_000, 240_000, 220_000, 20_000, 400, "the published data set, as far as it can be had"
    )
    assert roles_of("k", known.datasets["k"]) == (expected, [])
    with pytest.raises(DatasetError):
        roles_of("mine", config(table=str(tmp_path / "none.csv")).datasets["mine"])


def test_steps_of_the_optimiser_are_whole_epochs_of_the_videos_there_are() -> None:
    """720 of 800 videos are trained on: 45 batches of 16, and 5 of 8 processes."""
    steps = {"stage1": {"steps": 1000}, "stage2": {"steps": 500, "accumulate": 2}}
    evaluation = {
        "pretrainings": ["cocon", "cmc"],
        "protocols": ["linear", "finetune"],
        "finetune": {"steps": 100},
    }
    document = {**config().model_dump(), "recipes": {"r": {"pretraining": steps, "evaluation": evaluation}}}
    found = plan(Config.model_validate(document)).steps()
    epoch = 720 + 80 / 3
    assert step(found, "stage1 flow").seconds == pytest.approx(23 * epoch)  # 1000 / 45
    assert step(found, "stage2 cocon").seconds == pytest.approx(3 * 22 * epoch)  # 500 / 23
    assert step(found, "stage2 cmc").seconds == pytest.approx(3 * (22 + 44) * epoch)
    assert step(found, "finetune cocon rgb").seconds == pytest.approx(3 * 700 + 200 * 0.25)  # 43 batches
    document["jobs"] = {"pretrain_stage2": {"gpus": 8}}
    several = plan(Config.model_validate(document), gpus=8).steps()
    assert step(several, "stage2 cocon").seconds == pytest.approx(3 * 167 * epoch / 8)  # 500 / 3
