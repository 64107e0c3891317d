from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cocon.errors import DatasetError
from cocon.evaluation.metrics import Task
from cocon.evaluation.score_file import read_scores
from cocon.evaluation.scores import ClassScores, NeighbourScores, write_result
from tests.damage import flips, mutants, refused

TASK = Task("demo", "cocon", "rgb", "linear", "1")
IDS = ["a", "b", "c"]


@pytest.fixture
def scores() -> ClassScores:
    probabilities = np.array([[0.5, 0.5], [0.25, 0.75], [1, 0]], np.float32)
    return ClassScores(TASK, IDS, ("x", "y"), np.array([0, 1, 1]), probabilities, 4, 0.5)


@pytest.fixture
def neighbours() -> NeighbourScores:
    near, similarity = np.array([[0, 1], [1, 0], [1, 0]]), np.full((3, 2), 0.5, np.float32)
    labels, gallery = np.array([0, 1, 1]), np.array([0, 1])
    return NeighbourScores(TASK, IDS, ["g", "h"], ("x", "y"), labels, gallery, near, similarity, (1,), 4, 0.5)


def arrays_of(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def test_round_trip(scores: ClassScores, tmp_path: Path) -> None:
    scores.save(tmp_path / "a.npz")
    found = ClassScores.load(tmp_path / "a.npz")
    assert (found.task, found.ids, found.classes) == (scores.task, scores.ids, scores.classes)
    assert (found.listed, found.chance) == (4, 0.5)
    np.testing.assert_array_equal(found.probabilities, scores.probabilities)
    np.testing.assert_array_equal(found.labels, scores.labels)


def test_a_file_of_an_earlier_version_has_no_checksum(scores: ClassScores, tmp_path: Path) -> None:
    scores.save(tmp_path / "a.npz")
    arrays = arrays_of(tmp_path / "a.npz")
    del arrays["sha256"]
    np.savez(tmp_path / "old.npz", **arrays)
    assert ClassScores.load(tmp_path / "old.npz").ids == IDS


@pytest.mark.parametrize("kind", ["scores", "neighbours"])
def test_a_flipped_bit_is_noticed_wherever_it_is(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = tmp_path / "a.npz"
    request.getfixturevalue(kind).save(path)
    content, before = path.read_bytes(), read_scores(path)

    def same(found: dict[str, np.ndarray]) -> bool:
        return all(np.array_equal(found[name], before[name]) for name in before.keys() - {"sha256"})

    errors = [
        refused(path, damaged, lambda: read_scores(path), same)
        for damaged in (*flips(content, 150), *mutants(content, 40))
    ]
    assert sum(error is not None for error in errors) > 100


def _without(name: str) -> Callable[[dict[str, Any]], object]:
    return lambda arrays: arrays.pop(name)


def _with(name: str, value: object) -> Callable[[dict[str, Any]], object]:
    return lambda arrays: arrays.update({name: np.array(value)})


@pytest.mark.parametrize(
    "change",
    [
        *map(_without, ("ids", "classes", "labels", "probabilities", "listed", "chance", "task")),
        lambda arrays: arrays.clear(),
        _with("ids", ["a", "b"]),
        _with("ids", ["a", "b", "b"]),
        _with("ids", [1, 2, 3]),
        _with("ids", [["a"], ["b"], ["c"]]),
        _with("ids", np.zeros(0, np.str_)),
        _with("labels", [0, 1, 2]),
        _with("labels", [0, 1, -1]),
        _with("labels", [0.0, 1.0, 1.0]),
        _with("classes", ["x", "y", "z"]),
        _with("classes", ["x", "x"]),
        _with("probabilities", [[0.5, 0.5]] * 2),
        _with("probabilities", [[np.nan, 0.5]] * 3),
        _with("probabilities", [[2.0, -1.0]] * 3),
        _with("probabilities", [[0.9, 0.9]] * 3),
        _with("probabilities", [["a", "b"]] * 3),
        _with("listed", 2),
        _with("listed", [4, 4]),
        _with("listed", np.nan),
        _with("chance", np.nan),
        _with("chance", 1.5),
        _with("task", "[" * 100_000),
        _with("task", json.dumps({**asdict(TASK), "seed": []})),
        _with("task", json.dumps([1])),
        lambda arrays: arrays.update(labels=np.array([0, 1, None], dtype=object)),
    ],
)
def test_hostile_files(
    scores: ClassScores, tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    path = tmp_path / "a.npz"
    scores.save(path)
    arrays = arrays_of(path)
    del arrays["sha256"]
    change(arrays)
    np.savez(path, **arrays)
    for read in (ClassScores.load, read_scores):
        with pytest.raises(DatasetError, match=r"a\.npz is not a file of scores") as error:
            read(path)
        assert "\n" not in error.value.message
        assert "delete it and run the protocol again" in error.value.hint


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("neighbours", [[0, 2]] * 3),
        ("neighbours", [[0, -1]] * 3),
        ("neighbours", [[0.0, 1.0]] * 3),
        ("neighbours", [0, 1, 1]),
        ("similarity", [[0.5]] * 3),
        ("similarity", [[np.inf, 0.5]] * 3),
        ("gallery_ids", ["g"]),
        ("gallery_labels", [0, 7]),
    ],
)
def test_hostile_neighbours(neighbours: NeighbourScores, tmp_path: Path, name: str, value: object) -> None:
    path = tmp_path / "a.npz"
    neighbours.save(path)
    arrays = arrays_of(path) | {name: np.array(value)}
    del arrays["sha256"]
    np.savez(path, **arrays)
    with pytest.raises(DatasetError, match=r"a\.npz is not a file of scores"):
        read_scores(path)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x05\x06" + bytes(18), b"\x93NUMPY"])
def test_no_npz_at_all(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DatasetError, match=r"a\.npz is not a file of scores"):
        ClassScores.load(tmp_path / "a.npz")
    with pytest.raises(DatasetError, match=r"there is no file of scores"):
        ClassScores.load(tmp_path / "none.npz")


def test_scores_that_are_not_finite_are_not_written(
    scores: ClassScores, neighbours: NeighbourScores, tmp_path: Path
) -> None:
    scores.probabilities[1] = np.nan
    neighbours.similarity[2, 0] = np.inf
    for found, video in ((scores, "b"), (neighbours, "c")):
        message = rf"of linear, cocon, rgb, are not finite numbers for 1 of 3 videos, '{video}'"
        with pytest.raises(DatasetError, match=message):
            write_result(found, tmp_path / "x.json", 10)
        with pytest.raises(DatasetError, match="not finite"):
            found.save(tmp_path / "x.npz")
    assert list(tmp_path.iterdir()) == []
    assert replace(scores, probabilities=np.ones((3, 2))).check() is None
