"""Keys that are set and that nothing reads are named, and no others."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from cocon.config import selection
from cocon.config.config_files import merged
from cocon.config.load import load_config
from cocon.config.schema import Config, Jobs, Recipe, Section
from cocon.config.selection import RUNNING
from cocon.pretrainings import PRESETS
from cocon.views import VIEWS
from cocon.workflow.documents import encoders, extraction, protocols
from cocon.workflow.documents.report import shown_in_report
from cocon.workflow.ignored import ignored_keys
from tests.workflow.test_changes import another_value, leaves

DEMO = {"kind": "demo", "recipe": "r", "shards": 2}
#: every protocol is used, so that none of their sections is idle
BASE: dict[str, Any] = {
    "datasets": {"demo": DEMO},
    "recipes": {"r": {"evaluation": {"protocols": ["linear", "retrieval", "finetune", "linear_sgd"]}}},
}


def ignored(changes: dict[str, Any], base: dict[str, Any] = BASE) -> list[str]:
    return list(ignored_keys(Config.model_validate(merged(base, changes))))


def of_recipe(recipe: dict[str, Any]) -> list[str]:
    return [line.removeprefix("recipes.r.") for line in ignored({"recipes": {"r": recipe}})]


def test_nothing_is_said_of_what_is_read() -> None:
    assert of_recipe({}) == []
    assert of_recipe({"pretraining": {"schedule": "step", "milestones": [0.5]}}) == []
    assert of_recipe({"extraction": {"flow": {"tvl1": {"preset": "fast"}}}}) == []
    assert of_recipe({"evaluation": {"finetune": {"optimiser": "sgd", "momentum": 0.5}}}) == []


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        (
            {"pretraining": {"schedule": "cosine", "plateau_patience": 3, "milestones": [0.5]}},
            [
                "pretraining.milestones is not read: schedule is cosine",
                "pretraining.plateau_patience is not read: schedule is cosine",
            ],
        ),
        (
            {"pretraining": {"schedule": "constant", "minimum_learning_rate": 0}},
            ["pretraining.minimum_learning_rate is not read: schedule is constant"],
        ),
        (
            {"pretraining": {"validation_fraction": 0, "plateau_factor": 0.5, "schedule": "plateau"}},
            [
                "pretraining.schedule is not read: validation_fraction is 0, so the learning rate "
                "stays the same",
                "pretraining.plateau_factor is not read: validation_fraction is 0",
            ],
        ),
        ({"pretraining": {"best_by": "probe"}}, ["pretraining.best_by is not read: result is last"]),
        (
            {"pretraining": {"result": "best", "best_every": 3}},
            ["pretraining.best_every is not read: best_by is validation_loss"],
        ),
        (
            {"pretraining": {"loss": {"sim": "infonce", "margin": 0.5}}},
            ["pretraining.loss.margin is not read: sim is infonce"],
        ),
        (
            {
                "pretraining": {
                    "augmentation": {"crop_area": [0.5, 1], "shared_crop": True, "crop_candidates": 2}
                }
            },
            [
                "pretraining.augmentation.crop_area is not read: resized_crop is empty",
                "pretraining.augmentation.crop_candidates is not read: shared_crop is true",
            ],
        ),
        (
            {"pretraining": {"sync_batch_norm": True}},
            ["pretraining.sync_batch_norm is not read: one process trains (jobs: gpus, nodes)"],
        ),
        (
            {"evaluation": {"finetune": {"momentum": 0.5, "schedule": "cosine", "milestones": [0.5]}}},
            [
                "evaluation.finetune.milestones is not read: schedule is cosine",
                "evaluation.finetune.momentum is not read: optimiser is adam",
            ],
        ),
        (
            {"extraction": {"flow": {"backend": "dis", "tvl1": {"scales": 3}, "dis": {"preset": "fast"}}}},
            ["extraction.flow.tvl1 is not read: backend is dis"],
        ),
        (
            {"extraction": {"pose": {"one_euro": {"beta": 3}}, "mask": {"torchvision": {"score": 0.5}}}},
            [
                "extraction.mask.torchvision is not read: backend is selfie",
                "extraction.pose.one_euro is not read: smoothing is none",
            ],
        ),
        (
            {"evaluation": {"finetune_dpc": {"epochs": 3}, "own": {"mine": {"like": "linear"}}}},
            [
                "evaluation.finetune_dpc is not read: it is not among the protocols",
                "evaluation.own.mine is not read: it is not among the protocols",
            ],
        ),
        (
            {"evaluation": {"protocols": ["linear"], "finetune_pretrainings": ["cocon"]}},
            ["evaluation.finetune_pretrainings is not read: no protocol trains on frames"],
        ),
        (
            {"evaluation": {"protocols": ["finetune"], "pretrainings": ["cocon"]}},
            ["evaluation.pretrainings is not read: all protocols train on frames"],
        ),
        (
            {
                "evaluation": {
                    "protocols": ["linear", "mine"],
                    "own": {"mine": {"like": "finetune", "momentum": 0.1}},
                }
            },
            ["evaluation.own.mine.momentum is not read: optimiser is adam"],
        ),
    ],
)
def test_a_key_that_nothing_reads_is_named_with_the_reason(
    recipe: dict[str, Any], expected: list[str]
) -> None:
    assert of_recipe(recipe) == expected


def test_ablations_and_the_paper_s_table_read_protocols() -> None:
    recipe = {"r": {"evaluation": {"protocols": ["linear"], "finetune": {"epochs": 3}}}}
    base: dict[str, Any] = {"datasets": {"demo": DEMO}, "recipes": recipe}
    assert len(ignored({}, base)) == 1
    assert ignored({"paper": ["demo"]}, base) == []
    ablation = {"dataset": "demo", "protocols": ["finetune"]}
    assert ignored({"ablations": {"a": ablation}}, base) == []
    assert len(ignored({"ablations": {"a": ablation | {"protocols": ["linear"]}}}, base)) == 1


def test_processes_share_their_statistics_where_there_are_several() -> None:
    recipes = {"r": {"pretraining": {"sync_batch_norm": True}}}
    assert ignored({"recipes": recipes, "jobs": {"pretrain_stage2": {"gpus": 2}}}) == []


def test_encoders_of_another_data_set_are_pretrained_by_its_recipe() -> None:
    other = {**DEMO, "recipe": "other", "pretrain_on": "demo", "pretrain_split": "2"}
    recipes = {"other": {"pretraining": {"stage1": {"epochs": 3}}}}
    assert ignored({"datasets": {"other": other}, "recipes": recipes}) == [
        "datasets.other.pretrain_split is not read: pretrain_on is demo",
        "recipes.other.pretraining is not read: all its data sets have pretrain_on",
    ]
    assert ignored({"datasets": {"other": DEMO | {"recipe": "other"}}, "recipes": recipes}) == []


def test_a_probe_that_is_off_measures_no_videos() -> None:
    assert ignored({"jobs": {"pretrain_stage1": {"probe_videos": 50}}}) == [
        "jobs.pretrain_stage1.probe_videos is not read: probe_every is 0"
    ]
    assert ignored({"jobs": {"pretrain_stage1": {"probe_videos": 50, "probe_every": 2}}}) == []


def documents(recipe: Recipe) -> list[Any]:
    """All that results depend on of a recipe, with every preset and one process."""
    views = list(VIEWS)
    found: list[Any] = [shown_in_report(recipe, views), protocols.relations(recipe, 0)]
    for preset in PRESETS:
        found.append(selection.pretraining_settings(recipe, "stage2", preset, views))
    for view in views:
        found += [
            extraction.extraction(recipe, [view], ""),
            encoders.initialisation(recipe, view, 0),
            selection.pretraining_settings(recipe, "stage1", "cpc", [view]),
            protocols.features(recipe, view),
            *(protocols.protocol(recipe, name, view, 0) for name in recipe.evaluation.protocols),
        ]
    return [*found, *(protocols.fusion(recipe, name, views, 0) for name in recipe.evaluation.protocols)]


def changed(path: str, value: Any) -> dict[str, Any]:
    """A recipe in which one key has another value."""
    for key in reversed(path.split(".")):
        value = {key: value}
    return merged(copy.deepcopy(BASE["recipes"]["r"]), value)


def is_moved(path: str) -> bool:
    """Whether a key says how something runs; :mod:`cocon.config.selection` names these."""
    return path.rpartition(".")[2] in {*RUNNING, "max_failed_fraction"}


def test_named_keys_change_nothing_and_others_change_something() -> None:
    """Every key of a recipe in turn, with another value: what is named is what no result depends on."""
    before = documents(Recipe.model_validate(BASE["recipes"]["r"]))
    wrong, named = [], set()
    for path, annotation, default in leaves(Recipe()):
        if is_moved(path) or path in ("evaluation.protocols", "evaluation.own"):
            continue
        settings = changed(path, another_value(path, annotation, default))
        lines = ignored({"recipes": {"r": settings}})
        if documents(Recipe.model_validate(settings)) != before and lines:
            wrong.append(f"{path} is read, in spite of: {lines}")
        if documents(Recipe.model_validate(settings)) == before and not lines:
            wrong.append(f"{path} is not read, and nothing says so")
        named |= {path} if lines else set()
    assert wrong == []
    assert {"pretraining.milestones", "extraction.flow.dis.preset", "evaluation.finetune.momentum"} <= named


def sections(section: Section) -> list[Section]:
    inner = [part for _, value in section if isinstance(value, Section) for part in sections(value)]
    return [section, *inner]


def test_sections_name_keys_that_they_have() -> None:
    found = [*sections(Recipe()), *sections(Jobs())]
    assert len(found) > 30
    for section in found:
        assert set(section.idle) <= set(type(section).model_fields), section


def test_nothing_is_said_of_the_shipped_configuration(repository: Path) -> None:
    for name in ("config.yaml", "config/ut_interaction.yaml"):
        assert list(ignored_keys(load_config(repository / "config.yaml", repository / name))) == []
