"""Which values fit the wildcards of rules."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cocon.config.schema import Config
from cocon.protocols import FEATURES, FRAMES
from cocon.workflow import wildcards
from cocon.workflow.running import config_files

DEMO = {"kind": "demo", "recipe": "r", "shards": 1}
MINE = {"kind": "folder", "recipe": "apart", "shards": 1, "videos": ".", "table": "t.csv"}
PUBLIC = {"kind": "hmdb51", "recipe": "r", "shards": 1, "videos": ".", "lists": "."}
CONFIG = Config.model_validate(
    {
        "datasets": {"demo": DEMO, "again": DEMO | {"shards_of": "demo"}, "mine": MINE, "public": PUBLIC},
        "ablations": {"a": {"dataset": "mine"}, "b": {"dataset": "demo"}},
        "recipes": {
            "r": {"evaluation": {"own": {"brief": {"like": "finetune"}, "rough": {"like": "linear"}}}},
            "apart": {"extraction": {"mask": {"backend": "detectron2"}}},
        },
    }
)


def test_names_fit_as_they_are() -> None:
    fits = re.compile(wildcards.any_of(["a.b", "c"])).fullmatch
    assert fits("a.b")
    assert fits("c")
    assert not fits("axb")
    nothing = re.compile(wildcards.any_of([])).fullmatch
    assert not nothing("")


@pytest.mark.parametrize("run", ["", "seed7/", "split3/", "seed7/split3/"])
def test_runs(run: str) -> None:
    assert re.fullmatch(wildcards.RUN, run)
    assert not re.fullmatch(wildcards.RUN, f"{run}pretrain/")


def test_protocols_by_what_they_read() -> None:
    on_features = wildcards.protocols_that_read(CONFIG, FEATURES)
    on_frames = wildcards.protocols_that_read(CONFIG, FRAMES)
    assert {"linear", "retrieval", "rough"} <= set(on_features)
    assert {"finetune", "linear_sgd", "brief"} <= set(on_frames)
    assert not set(on_features) & set(on_frames)
    assert sorted(wildcards.protocols_that_read(CONFIG, FEATURES, FRAMES)) == sorted(on_features + on_frames)


def test_data_sets() -> None:
    assert wildcards.rendered(CONFIG) == ["demo", "again"]
    assert wildcards.rendering(CONFIG) == {"demo": ""}
    assert wildcards.published(CONFIG) == ["public"]
    document = CONFIG.model_dump(exclude_unset=True)
    document["datasets"]["more"] = DEMO | {"root": "more"}
    assert wildcards.rendering(Config.model_validate(document)) == {"demo": "", "more": "_more"}
    assert wildcards.extracting_persons_in_one_pass(CONFIG) == ["demo", "again", "public"]


@pytest.mark.parametrize(
    ("path", "ablations", "fits"),
    [
        ("mine/ablation_a.json", "ab", True),
        ("mine/ablation_a.csv", "ab", True),
        ("demo/ablation_a.json", "ab", False),
        ("demo/ablation_b.json", "ab", True),
        ("mine/ablation_a.json", "b", False),
        ("mine/ablation_a.json", "", False),
    ],
)
def test_results_of_an_ablation_lie_with_its_data_set(path: str, ablations: str, fits: bool) -> None:
    dataset = wildcards.datasets_of(CONFIG, ablations)
    assert bool(re.fullmatch(rf"(?P<dataset>{dataset})/ablation_(?P<ablation>.+)[.]\w+", path)) == fits


def test_files_of_the_command_line_come_last_or_alone() -> None:
    mine = str(Path("mine.yaml").absolute())
    assert config_files(["config.yaml", "mine.yaml"], ["mine.yaml"], alone=False) == [
        Path("config.yaml"),
        Path(mine),
    ]
    assert config_files(["config.yaml", "mine.yaml"], ["mine.yaml"], alone=True) == [Path(mine)]
    assert config_files(["config.yaml"], [], alone=False) == [Path("config.yaml")]
