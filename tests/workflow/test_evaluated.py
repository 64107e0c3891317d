"""Which metrics, encoders and tables an evaluation consists of."""

from __future__ import annotations

from typing import Any

import pytest

from cocon.config.schema import Config
from cocon.workflow.evaluated import Evaluated, cells_of, with_starts
from cocon.workflow.paths import Paths

MINE = {"kind": "folder", "recipe": "r", "shards": 1, "videos": ".", "table": "t.csv"}


def evaluated(evaluation: Any, splits: tuple[str, ...] = ("1", "2"), **keys: Any) -> Evaluated:
    document = {
        "views": ["rgb", "flow"],
        "datasets": {"mine": MINE | keys, "other": MINE},
        "recipes": {"r": {"evaluation": evaluation}},
    }
    return Evaluated(Config.model_validate(document), "mine", splits, apart=len(splits) > 1)


def test_a_cell_for_each_encoder_view_protocol_and_split() -> None:
    found = evaluated({"protocols": ["linear", "finetune"], "pretrainings": ["random", "cocon"]}).cells
    assert len(found) == len(set(found)) == 2 * 2 * 3 * 2
    assert {(cell.pretraining, cell.split, cell.run) for cell in found} == {
        ("random", "1", ""),
        ("random", "2", ""),
        ("cocon", "1", ""),
        ("cocon", "2", "split2/"),
    }


def test_a_single_view_has_no_ensemble() -> None:
    one = evaluated({"protocols": ["linear"]}).config.model_copy(update={"views": ("rgb",)})
    assert {cell.view for cell in cells_of(Paths(one), "mine", ["1"])} == {"rgb"}


@pytest.mark.parametrize(
    ("pretrainings", "keys", "runs"),
    [
        (["random"], {}, {"random": [""]}),
        (["cocon"], {}, {"cocon": ["", "split2/"], "stage1": ["", "split2/"]}),
        (["cmc"], {}, {"cmc": ["", "split2/"], "random": [""]}),
        (
            ["cmc", "cocon"],
            {"pretrain_split": "all"},
            {"cmc": [""], "cocon": [""], "random": [""], "stage1": [""]},
        ),
        (["cocon"], {"pretrain_on": "other"}, {"cocon": [""], "stage1": [""]}),
    ],
)
def test_a_stage_2_needs_what_it_starts_from(pretrainings: list[str], keys: Any, runs: Any) -> None:
    evaluation = {"protocols": ["linear"], "pretrainings": pretrainings}
    assert evaluated(evaluation, **keys).encoder_runs == runs


def test_random_networks_are_the_same_for_all_splits_of_a_seed() -> None:
    paths = Paths(evaluated({}).config)
    found = with_starts(paths, [("seed7/split2/", "cmc"), ("seed7/", "cmc"), ("seed7/split2/", "cpc")])
    assert found[3:] == [("seed7/", "random"), ("seed7/split2/", "stage1")]


@pytest.mark.parametrize(
    ("protocols", "splits", "tables"),
    [
        (["linear"], ("1",), {""}),
        (["linear"], ("1", "2"), {"", "_any", "_split1", "_split2"}),
        (["finetune"], ("1", "2"), {"", "_split1", "_split2"}),
    ],
)
def test_tables(protocols: list[str], splits: tuple[str, ...], tables: set[str]) -> None:
    assert evaluated({"protocols": protocols}, splits).tables == tables


@pytest.mark.parametrize(
    ("pretrainings", "pretrain_split", "tables"),
    [
        (["cocon"], "each", {"_split1", "_split2"}),
        (["cocon"], "common", {"_common"}),
        (["random"], "each", set()),
    ],
)
def test_tables_of_pretraining(pretrainings: list[str], pretrain_split: str, tables: set[str]) -> None:
    evaluation = {"protocols": ["linear"], "pretrainings": pretrainings}
    assert evaluated(evaluation, pretrain_split=pretrain_split).training_tables == tables


def test_features_are_made_for_protocols_that_read_them() -> None:
    evaluation = {"protocols": ["linear", "finetune"], "pretrainings": ["random", "cocon"]}
    found = evaluated(evaluation | {"finetune_pretrainings": ["cmc"]})
    assert [found.feature_runs(name) for name in ("random", "cocon", "cmc")] == [[""], ["", "split2/"], []]
