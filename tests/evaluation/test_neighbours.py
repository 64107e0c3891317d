"""How alike the videos of a class are, against figures that can be counted by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cocon.cli import main
from cocon.datasets.manifest import Video, write_manifest
from cocon.errors import DatasetError
from cocon.evaluation.features import Features, write_features
from cocon.evaluation.neighbours import Likeness, likeness, read_likeness
from cocon.evaluation.splits import Split
from cocon.measures.neighbours import NEAREST, Pairs, mean_products, nearest_share

IDS = ["a0", "a1", "a2", "b0", "b1", "b2"]
SPLIT = Split("1", ("a", "b"), {"t": 0}, {video: "ab".index(video[0]) for video in IDS})
AXES = {"a": [1.0, 0.0], "b": [0.0, 3.0]}


def features(rows: list[list[float]], ids: list[str] = IDS) -> Features:
    x = np.array(rows, np.float32)
    return Features(ids, x, x, x, np.ones(len(ids)), "rgb", "cocon")


APART = features([AXES[video[0]] for video in IDS])


def test_classes_that_are_apart() -> None:
    found = likeness(APART, SPLIT, {}, nearest=2)
    assert found == Likeness(same=1.0, other=0.0, share=1.0, chance=pytest.approx(2 / 5), n=6)
    # Of five others, two are of the same class: the five nearest are all.
    assert likeness(APART, SPLIT, {}).share == pytest.approx(2 / 5)


def test_pairs_are_of_different_videos_and_groups() -> None:
    turned = features([[1, 0], [0, 1], [0, 1], [1, 1], [1, 1], [1, -1]])
    groups = {"a0": "x", "a1": "x", "b0": "x"}
    found = likeness(turned, SPLIT, groups, nearest=1)
    # a0-a2 0, a1-a2 1; b0-b1 1, b0-b2 0, b1-b2 0
    assert found.same == pytest.approx((0 + 1 + 1 + 0 + 0) / 5)
    # a0 with b1, b2; a1 with b1, b2; a2 with all three; b0 with a2 (x with x is left out)
    half = 2**-0.5
    assert found.other == pytest.approx((half + half + half - half + half + half - half) / 7)
    # Nearest of another group: a0: b1 or b2; a1: a2; a2: a1; b0: b1; b1: b0; b2: a0.
    assert found.share == pytest.approx(4 / 6)
    assert found.chance == pytest.approx((1 / 3 + 1 / 3 + 2 / 5 + 2 / 3 + 2 / 5 + 2 / 5) / 6)


@pytest.mark.parametrize("count", [7, 300])
def test_against_loops_over_pairs(count: int) -> None:
    """More than are compared at once, and vectors of two views that have no length of one."""
    generator = np.random.default_rng(count)
    x, y = generator.normal(size=(2, count, 3))
    labels, groups = generator.integers(4, size=count), generator.integers(count // 2, size=count)
    pairs = Pairs.of(labels.tolist(), [f"g{group}" for group in groups])
    found: dict[bool, list[float]] = {True: [], False: []}
    shares, chances = [], []
    for i in range(count):
        others = [j for j in range(count) if groups[j] != groups[i]]
        for j in others:
            found[labels[i] == labels[j]].append(x[i] @ y[j])
        if any(labels[j] == labels[i] for j in others):
            nearest = sorted(others, key=lambda j, i=i: -(x[i] @ x[j]))[:5]
            shares.append(np.mean(labels[nearest] == labels[i]))
            chances.append(np.mean(labels[others] == labels[i]))
    assert mean_products(x, y, pairs) == pytest.approx((np.mean(found[True]), np.mean(found[False])))
    share, chance, n = nearest_share(x, pairs)
    assert (share, chance, n) == (
        pytest.approx(np.mean(shares)),
        pytest.approx(np.mean(chances)),
        len(shares),
    )


def test_where_all_are_alike_nothing_is_near() -> None:
    collapsed = features([[1.0, 1.0]] * 6)
    found = likeness(collapsed, SPLIT, {}, nearest=1)
    assert found.share == pytest.approx(found.chance) == pytest.approx(2 / 5)


def test_a_fold_of_one_group_and_one_of_single_videos() -> None:
    fold = dict.fromkeys(IDS, "one")
    assert likeness(APART, SPLIT, fold, nearest=2) == likeness(APART, SPLIT, {}, nearest=2)
    few = features([AXES["a"], AXES["b"]], ["a0", "b0"])
    assert likeness(few, SPLIT, {}) == Likeness(same=None, other=0.0, share=None, chance=None, n=0)
    with pytest.raises(DatasetError, match="none of the 6 test videos has features"):
        likeness(features([AXES["a"]], ["t"]), SPLIT, {})


def test_on_the_command_line(
    make_videos: Callable[..., list[Video]], make_features: Callable[..., Features], tmp_path: Path, capsys
) -> None:
    videos = make_videos(1, 7)
    folder = tmp_path / "demo"
    folder.mkdir()
    write_manifest(folder / "manifest.csv", videos)
    write_features(tmp_path / "rgb.h5", make_features(videos, np.eye(3), 0.001))
    output = tmp_path / "neighbours.json"
    given = ["--features", f"rgb={tmp_path}/rgb.h5", "--split", "1", "--seed", "3", "--output", str(output)]
    assert main(["neighbours", "--manifest", str(folder / "manifest.csv"), *given]) == 0
    # Each test video is of a group of its own within its class: 6 others of it, 12 of other classes.
    said = "rgb: of the nearest videos, 100.0 % (33.3 by chance) are of the same class\n"
    assert capsys.readouterr().out == said
    document, found = read_likeness(output)
    assert (document["pretraining"], document["seed"], document["nearest"]) == ("cocon", 3, NEAREST)
    assert found["rgb"].same == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    "views", ["{}", '{"rgb": 3}', '{"rgb": {"same": 2, "other": 0, "share": 0, "chance": 0, "n": 1}}',
              '{"rgb": {"same": 0, "other": 0, "share": -0.1, "chance": 0, "n": 1}}']
)  # fmt: skip
def test_another_file_gets_a_sentence(tmp_path: Path, views: str) -> None:
    path = tmp_path / "n.json"
    path.write_text(f'{{"pretraining": "cpc", "seed": 0, "split": "1", "views": {views}}}')
    if views == "{}":
        assert read_likeness(path)[1] == {}
        path.write_text("{}")
    with pytest.raises(DatasetError, match=r"n\.json is not a file of neighbours"):
        read_likeness(path)
