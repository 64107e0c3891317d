from __future__ import annotations

import json

import numpy as np
import pytest

from cocon.errors import DatasetError
from cocon.evaluation.metrics import Result, Task, bootstrap_interval, interval, wilson_interval

TASK = Task("demo", "cocon", "rgb", "retrieval", "1", 3)
RESULT = Result(TASK, 0.5, (0.375, 0.625), 0.9, 72, 0.1, {10: 0.75, 5: 0.625})


def test_interval_agrees_with_the_normal_approximation() -> None:
    hits = np.arange(2000) < 1200
    low, high = bootstrap_interval(hits, 20_000, seed=0)
    half = 1.96 * np.sqrt(0.6 * 0.4 / 2000)
    assert (low, high) == pytest.approx((0.6 - half, 0.6 + half), abs=0.002)


def test_interval_agrees_with_resampling_video_by_video() -> None:
    hits = np.arange(30) < 21
    rng = np.random.default_rng(1)
    accuracies = [hits[rng.integers(30, size=30)].mean() for _ in range(20_000)]
    expected = np.quantile(accuracies, [0.025, 0.975])
    assert bootstrap_interval(hits, 20_000, seed=0) == pytest.approx(expected, abs=1e-9)


def test_interval_follows_the_seed() -> None:
    hits = np.arange(101) < 47
    assert bootstrap_interval(hits, 50, seed=5) == bootstrap_interval(hits, 50, seed=5)
    assert bootstrap_interval(hits, 50, seed=5) != bootstrap_interval(hits, 50, seed=6)


@pytest.mark.parametrize(("hits", "n"), [(1, 9), (50, 80), (77, 80)])
def test_wilson_ends_are_where_the_observation_is_just_plausible(hits: int, n: int) -> None:
    for end in wilson_interval(hits, n):
        assert abs(hits / n - end) == pytest.approx(1.959964 * np.sqrt(end * (1 - end) / n), rel=1e-5)


@pytest.mark.parametrize("n", [1, 7, 80, 10_000])
def test_no_interval_is_a_point(n: int) -> None:
    # Without a miss, z = sqrt(n (1 - low) / low) gives low = n / (n + z^2).
    low, high = interval(np.ones(n, bool), 50, seed=0)
    assert (low, high) == (pytest.approx(n / (n + 1.959964**2)), 1.0)
    assert interval(np.zeros(n, bool), 50, seed=0) == (0.0, pytest.approx(1 - low))


def test_interval_covers_the_truth_near_the_end() -> None:
    """Of 80 videos 98 % are right: the interval of 2000 repetitions covers that, the bootstrap alone not."""
    rng = np.random.default_rng(0)
    draws = rng.random((2000, 80)) < 0.98
    ends = [interval(hits, 200, seed=0) for hits in draws]
    covered = np.mean([low <= 0.98 <= high for low, high in ends])
    alone = [bootstrap_interval(hits, 200, seed=0) for hits in draws]
    assert covered > 0.94
    assert np.mean([low <= 0.98 <= high for low, high in alone]) < 0.85


def test_in_the_middle_it_is_the_bootstrap() -> None:
    hits = np.arange(101) < 47
    assert interval(hits, 50, seed=5) == bootstrap_interval(hits, 50, seed=5)


def test_row_has_the_documented_keys_and_survives_json() -> None:
    row = json.loads(json.dumps(RESULT.row()))
    assert row == {
        "dataset": "demo",
        "pretraining": "cocon",
        "view": "rgb",
        "protocol": "retrieval",
        "split": "1",
        "top1": 0.5,
        "ci95": [0.375, 0.625],
        "coverage": 0.9,
        "n": 72,
        "chance": 0.1,
        "seed": 3,
        "r5": 0.625,
        "r10": 0.75,
    }
    assert Result.from_row(row) == RESULT


@pytest.mark.parametrize("broken", [{}, {**RESULT.row(), "ci95": 0.5}, {**RESULT.row(), "n": "many"}])
def test_something_else_than_a_row_is_named(broken: dict[str, object]) -> None:
    with pytest.raises(DatasetError, match="not a row of metrics"):
        Result.from_row(broken)


@pytest.mark.parametrize(
    "change",
    [
        {"top1": None},
        {"top1": float("nan")},
        {"top1": 1.5},
        {"top1": 10**400},
        {"top1": True},
        {"ci95": 3},
        {"ci95": [0.1]},
        {"ci95": [0.1, "x"]},
        {"coverage": -0.1},
        {"chance": float("inf")},
        {"n": 0.5},
        {"n": "many"},
        {"seed": [1]},
        {"view": ["rgb"]},
        {"dataset": None},
        {"r5": 2},
    ],
)
def test_a_row_with_something_else_in_it_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(DatasetError, match="not a row of metrics") as error:
        Result.from_row(RESULT.row() | change)
    assert len(error.value.message) < 1000


@pytest.mark.parametrize("row", [[], None, 3, "text"])
def test_something_else_in_place_of_a_row(row: object) -> None:
    with pytest.raises(DatasetError, match="not a row of metrics"):
        Result.from_row(row)  # type: ignore[arg-type]
