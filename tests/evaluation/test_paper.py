from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cocon.cli import main
from cocon.config.schema import Config
from cocon.evaluation.metrics import Result, Task
from cocon.evaluation.paper import Setting, cells_beside, format_cells, wanted, whole_table
from cocon.files import read_csv, read_json, write_json
from cocon.workflow.paper import setting_of

R18, R34 = (2, 2, 2, 2), (3, 4, 6, 3)
UCF = Setting(kind="ucf101", pretrained_on="ucf101", layers=R18, pixels=128, views=4)
TOP1 = {"1": 0.70, "2": 0.72, "3": 0.74}


def _result(
    pretraining: str, view: str, split: str, *, protocol: str = "finetune", top1: float = 0
) -> Result:
    task = Task("mine", pretraining, view, protocol, split, 0)
    return Result(task, top1 or TOP1[split], (0.6, 0.8), 0.99, 3783, 1 / 101)


RESULTS = [
    *(_result("cocon", view, split) for view in ("rgb", "flow", "ensemble") for split in "123"),
    _result("random", "rgb", "1"),
    _result("stage1", "rgb", "1"),
    _result("cpc", "rgb", "1"),
    _result("cocon", "rgb", "1", protocol="linear"),
    _result("cocon", "rgb", "1", protocol="finetune_dpc"),
]


def _found(setting: Setting) -> dict[tuple[str, str], tuple[float, tuple[str, ...]]]:
    cells = cells_beside(RESULTS, setting)
    return {(c.published.model, c.published.judged): (c.published.accuracy, c.splits) for c in cells}


def test_only_cells_of_the_same_setting_that_ran_stand_beside() -> None:
    assert _found(UCF) == {
        ("random initialisation", "rgb"): (0.467, ("1",)),
        ("DPC", "rgb"): (0.606, ("1",)),
        ("CoCon", "rgb"): (0.705, ("1", "2", "3")),
        ("CoCon", "ensemble"): (0.824, ("1", "2", "3")),
    }
    kinetics = UCF.model_copy(update={"pretrained_on": "kinetics400", "views": 2})
    assert _found(kinetics)["CoCon", "rgb"] == (0.716, ("1", "2", "3"))
    large = kinetics.model_copy(update={"pixels": 224, "layers": R34})
    assert _found(large)["CoCon", "ensemble"] == (0.82, ("1", "2", "3"))
    assert ("random initialisation", "rgb") not in _found(large)
    others = [{"views": 3}, {"pixels": 112}, {"layers": (1, 1, 1, 1)}, {"kind": "demo"}, {"width": 32}]
    others += [{"features": 512}, {"encoder": "r2plus1d_18"}, {"encoder": "s3d"}]
    for other in others:
        assert ("CoCon", "rgb") not in _found(UCF.model_copy(update=other))


@pytest.mark.parametrize(
    ("network", "told", "cells"),
    [
        ({}, {}, 4),
        ({"width": 16}, {"width": 16}, 0),
        ({"features": 128}, {"features": 128}, 0),
        ({"encoder": "r2plus1d_18"}, {"encoder": "r2plus1d_18"}, 0),
        ({"views": {"rgb": {"encoder": "s3d"}}}, {"encoder": "s3d"}, 0),
        ({"views": {"flow": {"encoder": "s3d"}}}, {}, 4),
        ({"layers": [1, 1, 1, 1], "width": 16, "features": 128}, {"layers": [1, 1, 1, 1]}, 0),
    ],
)
def test_the_setting_of_a_data_set(network: Any, told: dict[str, Any], cells: int) -> None:
    """In the documents of results the setting has what differs from the published networks."""
    ucf101 = {"kind": "ucf101", "recipe": "r", "shards": 1, "videos": "v", "lists": "l"}
    config = Config.model_validate({"datasets": {"ucf": ucf101}, "recipes": {"r": {"network": network}}})
    setting = setting_of(config, "ucf")
    plain = {"kind": "ucf101", "pretrained_on": "ucf101", "layers": [2, 2, 2, 2], "pixels": 128, "views": 4}
    assert setting.model_dump(mode="json", exclude_defaults=True) == plain | told
    assert len(wanted(setting)) == cells


def test_what_fills_the_cells_of_a_setting() -> None:
    cocon = [("cocon", "rgb"), ("cocon", "ensemble")]
    assert wanted(UCF) == [("random", "rgb"), ("stage1", "rgb"), *cocon]
    # DPC has no figure on HMDB51 from UCF101, and random networks none at 224 px.
    assert wanted(UCF.model_copy(update={"kind": "hmdb51"})) == [("random", "rgb"), *cocon]
    large = {"pretrained_on": "kinetics400", "views": 2, "pixels": 224, "layers": R34}
    assert wanted(UCF.model_copy(update=large)) == [("stage1", "rgb"), *cocon]
    assert wanted(UCF.model_copy(update={"kind": "demo"})) == []


def test_the_ablation_stands_beside_split_1_of_two_views() -> None:
    two = [
        c for c in cells_beside(RESULTS, UCF.model_copy(update={"views": 2})) if "split 1" in c.published.note
    ]
    assert {(c.published.model, c.published.accuracy, c.splits, c.ours) for c in two} == {
        ("CPC", 0.637, ("1",), 0.70),
        ("CoCon", 0.678, ("1",), 0.70),
    }


def test_mean_deviation_and_coverage_of_a_cell() -> None:
    cell = next(c for c in cells_beside(RESULTS, UCF) if c.published.judged == "ensemble")
    assert (cell.ours, cell.sd, cell.coverage) == (pytest.approx(0.72), pytest.approx(0.02), 0.99)
    line = next(line for line in format_cells([cell]).splitlines() if "CoCon" in line)
    assert "82.4" in line
    assert "72.0 ± 2.0 (split 1, 2, 3)" in line
    assert line.endswith("99 %")
    assert format_cells([]) == ""


def test_the_whole_table_has_every_published_figure_once() -> None:
    cells = whole_table(cells_beside(RESULTS, UCF))
    fine_tuned = [cell for cell in cells if not cell.published.note.startswith("ablation")]
    assert len(fine_tuned) == 12 + 11  # DPC has no figure on HMDB51 from UCF101
    assert sum(cell.ours is not None for cell in cells) == 4
    text = format_cells(cells)
    assert "MemDPC" in text
    assert "another method" in text


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, result in enumerate(RESULTS):
        write_json(tmp_path / f"{number}.json", result.row())
    out, csv = str(tmp_path / "summary.json"), str(tmp_path / "summary.csv")
    files = [str(tmp_path / f"{number}.json") for number in range(len(RESULTS))]
    setting = UCF.model_dump_json()
    assert main(["summary", "--metrics", *files, "--setting", setting, "--output", out, "--csv", csv]) == 0
    written = capsys.readouterr().out
    assert "70.5" in written.split("published figures")[1]
    assert [row["published"] for row in read_json(Path(out))["published"]] == [0.467, 0.606, 0.705, 0.824]
    assert main(["summary", "--show", out]) == 0
    assert capsys.readouterr().out == written
    paper, table = tmp_path / "paper.json", tmp_path / "paper.csv"
    assert main(["summary", "--paper", out, "--output", str(paper), "--csv", str(table)]) == 0
    assert "MemDPC" in capsys.readouterr().out
    rows = list(read_csv(table))
    assert len(rows) == len(read_json(paper)["cells"]) > 20
    assert {row["ours"] != "" for row in rows} == {True, False}
    bad = ["summary", "--metrics", files[0], "--setting", '{"pixel": 3}', "--output", out, "--csv", csv]
    assert main(bad) == 2
    assert "did you mean 'pixels'" in capsys.readouterr().err
