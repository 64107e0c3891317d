from __future__ import annotations

import json

import numpy as np
import pytest

from cocon.errors import DatasetError
from cocon.evaluation.metrics import Result, Task, bootstrap_interval

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


def test_interval_follows_the_seed_and_shrinks_to_a_point_without_errors() -> None:
    hits = np.arange(101) < 47
    assert bootstrap_interval(hits, 50, seed=5) == bootstrap_interval(hits, 50, seed=5)
    assert bootstrap_interval(hits, 50, seed=5) != bootstrap_interval(hits, 50, seed=6)
    assert bootstrap_interval(np.ones(7, bool), 50, seed=0) == (1.0, 1.0)


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
