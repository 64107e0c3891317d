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
    COSINE,
    NEAR,
    AblationResult,
    gather,
    read_ablation,
    write_ablation,
)
from cocon.evaluation.ablation_table import format_ablation
from cocon.evaluation.compared import Compared
from cocon.evaluation.features import Features, write_features
from cocon.evaluation.frame_size import FrameSize, write_frame_size
from cocon.evaluation.metrics import Result, Task
from cocon.evaluation.neighbours import Likeness, write_likeness
from cocon.evaluation.scores import ClassScores, write_result
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


def cell(ablation: AblationResult, measure: str, pretraining: str) -> tuple[float, float | None]:
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
    assert "pretraining rgb n classes agreeing" in lines
    assert "cocon 60.0 ±14.1 80 5.0 ±1.4" in lines
    assert "chance 10.0 0.5" in lines
    assert main(["ablation", "--show", str(output)]) == 0
    assert capsys.readouterr().out == printed
    assert read_ablation(output) == gather(metrics, relations)
    rows = read_csv(csv)
    assert [row["measure"] for row in rows] == ["linear"] * 2 + ["retrieval"] * 2 + [AGREEMENT] * 2


def test_one_seed_has_no_deviation(metrics: list[Path]) -> None:
    ablation = gather([path for path in metrics if "0" in path.name], [])
    assert cell(ablation, "linear", "cocon") == (0.5, None)
    assert "±" not in format_ablation(ablation)
    assert "Linear probe, top-1, % (one seed)" in format_ablation(ablation)


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


# ------------------------------------------------------- splits, scores and what stands beside them

VIDEOS = [f"{label}/{n}" for label in ("jump", "run") for n in range(20)]
#: how many of each class are right
RIGHT = {"random": 10, "cpc": 10, "cocon": 17, "cmc": 20}


def write_scores(folder: Path, pretraining: str, seed: int, split: str, right: int) -> Path:
    """Metrics and scores of two classes; of each the first so many videos are right."""
    labels = np.repeat([0, 1], 20)
    predicted = np.where(np.tile(np.arange(20) < right, 2), labels, 1 - labels)
    task = Task("demo", pretraining, "rgb", "linear", split, seed)
    probabilities = np.eye(2, dtype=np.float32)[predicted]
    scores = ClassScores(task, VIDEOS, ("jump", "run"), labels, probabilities, 40, 0.5)
    path = folder / f"seed{seed}" / pretraining / f"linear_split{split}.json"
    write_result(scores, path, bootstrap=10)
    return path


@pytest.fixture
def scored(tmp_path: Path) -> Path:
    """Four pretrainings, two seeds, two splits; in split 2 two more of each class are wrong."""
    for pretraining, right in RIGHT.items():
        for seed in SEEDS:
            for split in ("1", "2"):
                write_scores(tmp_path, pretraining, seed, split, right - 2 * int(split == "2") - seed)
    manifest = [Video(name, tmp_path / name, name.split("/")[0], f"person{n % 5}", {"1": "test", "2": "test"})
                for n, name in enumerate(VIDEOS)]  # fmt: skip
    write_manifest(tmp_path / "manifest.csv", manifest)
    return tmp_path


def run_ablation(folder: Path, *more: str) -> AblationResult:
    names = "{random,cpc,cocon,cmc}/linear_split{1,2}.json"
    pattern = f"{folder}/seed{{0,1}}/{names}"
    output = ["--output", str(folder / "a.json"), "--csv", str(folder / "a.csv")]
    assert main(["ablation", "--metrics", pattern, *output, *more]) == 0
    return read_ablation(folder / "a.json")


def test_means_over_splits_and_then_over_seeds(scored: Path, capsys) -> None:
    ablation = run_ablation(scored)
    found = {cell.pretraining: cell for cell in ablation.cells}["cocon"]
    # Seed 0: 17/20 and 15/20; seed 1: 16/20 and 14/20.
    assert found.mean == pytest.approx((16 + 15) / 2 / 20)
    assert found.sd == pytest.approx(stdev([16 / 20, 15 / 20]))
    assert found.sd_splits == pytest.approx(stdev([16.5 / 20, 14.5 / 20]))
    assert (found.splits, found.seeds, found.n) == (("1", "2"), (0, 1), 80)
    printed = capsys.readouterr().out
    assert "(mean ± standard deviation of 2 seeds; means over splits 1, 2)" in printed


def test_one_seed_of_several_splits_has_their_deviation(scored: Path) -> None:
    paths = [scored / "seed0" / name / f"linear_split{n}.json" for name in ("cpc", "cocon") for n in (1, 2)]
    text = format_ablation(gather(paths, []))
    assert "mean ± standard deviation of 2 splits" in text
    assert "cocon 80.0 ±7.1 80" in " ".join(text.split())


def test_every_row_is_compared_with_random_and_cmc(scored: Path, capsys) -> None:
    ablation = run_ablation(scored, "--manifest", str(scored / "manifest.csv"))
    comparisons = {
        (cell.pretraining, one.reference): one for cell in ablation.cells for one in cell.comparisons
    }
    assert set(comparisons) == {
        *((name, "random") for name in ("cpc", "cocon", "cmc")),
        *((name, "cmc") for name in ("random", "cpc", "cocon")),
    }
    same, better = comparisons["cpc", "random"], comparisons["cocon", "random"]
    assert (same.difference, same.low, same.high, same.p, same.clear) == (0, 0, 0, 1, False)
    assert better.difference == pytest.approx(7 / 20)
    assert better.sd == pytest.approx(0)
    assert (better.n, better.groups) == (80, 5)
    assert better.low > 0
    # Five people: their signs are all the same with probability 2 / 2**5.
    assert better.p == pytest.approx(2 / 2**5, abs=0.01)
    assert not better.clear, "five people are too few"
    assert comparisons["random", "cmc"].difference == pytest.approx(-10 / 20)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert any("difference to random on the same test videos, points" in line for line in lines)
    assert any(line.startswith("cocon +35.0 [+") and not line.endswith("*") for line in lines)
    (row,) = [row for row in read_csv(scored / "a.csv") if row["pretraining"] == "cocon"]
    assert float(row["random_difference"]) == pytest.approx(7 / 20)
    assert (row["random_clear"], row["n"], row["splits"]) == ("0", "80", "1 2")
    assert float(row["ci95_low"]) < float(row["mean"]) < float(row["ci95_high"])
    assert float(row["cmc_difference"]) == pytest.approx(-3 / 20)


def test_without_groups_every_video_counts(scored: Path, capsys) -> None:
    ablation = run_ablation(scored)
    (found,) = [cell for cell in ablation.cells if cell.pretraining == "cocon"]
    assert found.comparisons[0].groups == 40, "a video of two splits is one"
    assert found.comparisons[0].clear
    assert "]*" in capsys.readouterr().out


def test_without_scores_nothing_is_compared(scored: Path, capsys) -> None:
    (scored / "seed1" / "cpc" / "linear_split2.npz").unlink()
    ablation = run_ablation(scored)
    assert not any(cell.comparisons for cell in ablation.cells)
    assert "linear_split2.npz: pairwise comparisons are left out" in capsys.readouterr().err


def test_a_split_that_lacks_is_named(scored: Path) -> None:
    paths = sorted(scored.glob("seed*/*/*.json"))
    one = scored / "seed1" / "cmc" / "linear_split2.json"
    with pytest.raises(DatasetError, match="cmc/rgb, linear has no results for a split of some seed"):
        gather([path for path in paths if path != one], [])
    both = [path for path in paths if path.parts[-2] != "cmc" or path.stem.endswith("1")]
    with pytest.raises(DatasetError, match=r"has the splits \('1',\), .* has \('1', '2'\)"):
        gather(both, [])


def test_the_size_of_frames_stands_there_where_it_differs(scored: Path, capsys) -> None:
    for split, sizes, top1 in (("1", 3, 0.5), ("2", 1, 0.7)):
        write_frame_size(scored / f"sizes{split}.json", FrameSize(split, sizes, top1, 40))
    run_ablation(scored, "--sizes", f"{scored}/sizes{{1,2}}.json")
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "frame size 60.0 80" in lines
    assert "chance 50.0" in lines
    run_ablation(scored, "--sizes", f"{scored}/sizes2.json")
    printed = capsys.readouterr().out
    assert "frame size" not in printed
    assert "chance" in printed


def test_what_the_encoders_have_seen_is_said(scored: Path, capsys) -> None:
    run_ablation(scored, "--seen", '{"2": [40, 40]}')
    said = "Pretraining has seen test videos, without their labels: all of split 2."
    assert said in capsys.readouterr().out
    assert main(["ablation", "--show", str(scored / "a.json")]) == 0
    assert said in capsys.readouterr().out


def test_how_alike_the_videos_of_a_class_are(scored: Path, capsys) -> None:
    paths = []
    for seed in SEEDS:
        for split in ("1", "2"):
            path = scored / f"neighbours{seed}{split}.json"
            silent = Likeness(None, 0.1, None, None, 0)
            found = {"rgb": Likeness(0.5 + seed / 10, 0.2, 0.6, 0.1, 40), "flow": silent}
            write_likeness(path, found, Compared("demo", "cocon", split, seed))
            paths.append(str(path))
    ablation = run_ablation(scored, "--neighbours", *paths)
    cells = {cell.measure: cell for cell in ablation.cells if cell.measure != "linear"}
    assert cells.keys() == {NEAR, COSINE}
    assert (cells[COSINE].mean, cells[COSINE].chance) == pytest.approx((0.55, 0.2))
    assert (cells[NEAR].mean, cells[NEAR].chance, cells[NEAR].n) == pytest.approx((0.6, 0.1, 80))
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "cocon 0.55 ±0.07 (0.20)" in lines
    assert "cocon 60.0 ±0.0" in lines


def test_ablations_of_earlier_versions_are_read(
    metrics: list[Path], relations: list[Path], tmp_path: Path
) -> None:
    path = tmp_path / "a.json"
    write_ablation(gather(metrics, relations), path, tmp_path / "a.csv")
    document = read_json(path)
    known = ("measure", "pretraining", "view", "mean", "sd", "chance", "seeds")
    cells = [{key: cell[key] for key in known} for cell in document["cells"]]
    write_json(path, {"cells": cells, "rows": document["rows"], "relations": document["relations"]})
    old = read_ablation(path)
    assert [cell.mean for cell in old.cells] == [cell["mean"] for cell in cells]
    assert "cocon" in format_ablation(old)
