from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import stdev

import numpy as np
import pytest

from cocon.cli import main
from cocon.datasets.manifest import Video, write_manifest
from cocon.errors import DatasetError
from cocon.evaluation.ablation import (
    AGREEMENT,
    Ablation,
    format_ablation,
    gather,
    read_ablation,
    write_ablation,
)
from cocon.evaluation.features import Features, write_features
from cocon.evaluation.metrics import Result, Task
from cocon.files import read_csv, read_json, write_json

SEEDS = (0, 1)
ACCURACY = {("random", 0): 0.25, ("random", 1): 0.35, ("cocon", 0): 0.5, ("cocon", 1): 0.7}
AGREEING = {("random", 0): 1, ("random", 1): 1, ("cocon", 0): 4, ("cocon", 1): 6}


@pytest.fixture
def metrics(tmp_path: Path) -> list[Path]:
    paths = []
    for (pretraining, seed), top1 in ACCURACY.items():
        for protocol in ("linear", "retrieval"):
            task = Task("demo", pretraining, "rgb", protocol, "1", seed)
            path = tmp_path / f"{pretraining}{seed}{protocol}.json"
            write_json(path, Result(task, top1, (0.0, 1.0), 1.0, 80, 0.1).row())
            paths.append(path)
    return paths


@pytest.fixture
def relations(tmp_path: Path) -> list[Path]:
    paths = []
    for (pretraining, seed), agreeing in AGREEING.items():
        path = tmp_path / f"relations{pretraining}{seed}.json"
        write_json(path, {"pretraining": pretraining, "seed": seed, "agreeing": agreeing, "chance": 0.5})
        paths.append(path)
    return paths


def cell(ablation: Ablation, measure: str, pretraining: str) -> tuple[float, float | None]:
    (found,) = [c for c in ablation.cells if (c.measure, c.pretraining) == (measure, pretraining)]
    assert found.seeds == SEEDS[: len(found.seeds)]
    return found.mean, found.sd


def test_means_and_deviations_over_seeds(metrics: list[Path], relations: list[Path]) -> None:
    ablation = gather(metrics, relations)
    assert cell(ablation, "linear", "cocon") == pytest.approx((0.6, stdev([0.5, 0.7])))
    assert cell(ablation, "retrieval", "random") == pytest.approx((0.3, stdev([0.25, 0.35])))
    assert cell(ablation, AGREEMENT, "cocon") == pytest.approx((5, stdev([4, 6])))
    assert [row["pretraining"] for row in ablation.rows][:4] == ["random", "random", "cocon", "cocon"]


def test_the_table_and_the_files(metrics: list[Path], relations: list[Path], tmp_path: Path, capsys) -> None:
    output, csv = tmp_path / "ablation.json", tmp_path / "ablation.csv"
    given = ["--relations", *map(str, relations), "--output", str(output), "--csv", str(csv)]
    assert main(["ablation", "--metrics", *map(str, metrics), *given]) == 0
    printed = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    assert "Linear probe, top-1, % (mean ± standard deviation of 2 seeds)" in lines
    assert "pretraining rgb classes agreeing" in lines
    assert "cocon 60.0 ±14.1 5.0 ±1.4" in lines
    assert "chance 10.0 0.5" in lines
    assert main(["ablation", "--show", str(output)]) == 0
    assert capsys.readouterr().out == printed
    assert read_ablation(output) == gather(metrics, relations)
    rows = read_csv(csv)
    assert [row["measure"] for row in rows] == ["linear"] * 2 + ["retrieval"] * 2 + [AGREEMENT] * 2


def test_one_seed_has_no_deviation(metrics: list[Path]) -> None:
    ablation = gather([path for path in metrics if "0" in path.name], [])
    assert cell(ablation, "linear", "cocon") == (0.5, None)
    assert "±" not in format_ablation(ablation).split("\n", 1)[1].split("Retrieval")[0]


def test_different_seeds_cannot_be_compared(metrics: list[Path], relations: list[Path]) -> None:
    with pytest.raises(DatasetError, match=r"cannot be|different seeds|has the seeds \(0,\)"):
        gather(metrics[:-2], relations)
    with pytest.raises(DatasetError, match="is not a file of relations"):
        gather(metrics, metrics)
    with pytest.raises(DatasetError, match="is not a file of an ablation"):
        read_ablation(metrics[0])


def test_relations_on_the_command_line(
    make_videos: Callable[..., list[Video]], make_features: Callable[..., Features], tmp_path: Path, capsys
) -> None:
    videos = make_videos(1, 4)
    folder = tmp_path / "demo"
    folder.mkdir()
    write_manifest(folder / "manifest.csv", videos)
    # jump and run are alike, walk is nearer to run; in the other view everything is turned.
    means = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    for view, seed in (("rgb", 0), ("flow", 1)):
        turned = means if view == "rgb" else means @ np.array([[0.0, 1.0], [-1.0, 0.0]])
        write_features(tmp_path / f"{view}.h5", make_features(videos, turned, 0.01, seed, view))
    output = tmp_path / "relations.json"
    arguments = ["relations", "--manifest", str(folder / "manifest.csv"), "--split", "1", "--seed", "7"]
    given = ["--features", f"rgb={tmp_path}/rgb.h5", f"flow={tmp_path}/flow.h5", "--output", str(output)]
    settings = ["--settings", '{"relations": {"neighbours": 1, "shared": 1}}']
    assert main([*arguments, *given, *settings]) == 0
    assert capsys.readouterr().out == "3 of 3 classes agree (1.5 by chance)\n"
    found = read_json(output)
    assert found["nearest"] == {view: [["run"], ["jump"], ["run"]] for view in ("rgb", "flow")}
    assert (found["dataset"], found["pretraining"], found["seed"]) == ("demo", "cocon", 7)
    # Three classes have two others: five nearest ones are not there to be found.
    assert main([*arguments, *given]) == 2
    assert "lower evaluation.relations.neighbours" in capsys.readouterr().err


@pytest.mark.parametrize(
    "change",
    [
        {"cells": []},
        {"cells": 3},
        {"cells": [{"measure": "linear"}]},
        {"rows": [{"top1": 2}]},
        {"relations": "none"},
    ],
)
def test_another_document_is_no_ablation(
    metrics: list[Path], tmp_path: Path, change: dict[str, object]
) -> None:
    path = tmp_path / "a.json"
    write_ablation(gather(metrics, []), path, tmp_path / "a.csv")
    read_ablation(path)
    write_json(path, read_json(path) | change)
    with pytest.raises(DatasetError, match=r"a\.json"):
        read_ablation(path)


@pytest.mark.parametrize(
    "content", ["", "[1]", '{"agreeing": 1}', '{"agreeing": NaN, "chance": 1, "pretraining": "a", "seed": 0}',
                '{"agreeing": 1, "chance": 1, "pretraining": ["a"], "seed": 0}']
)  # fmt: skip
def test_damaged_relations_get_a_sentence(metrics: list[Path], tmp_path: Path, content: str) -> None:
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(DatasetError, match=r"r\.json is not a file of relations") as error:
        gather(metrics, [tmp_path / "r.json"])
    assert "cocon relations" in error.value.hint
