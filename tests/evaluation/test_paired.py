"""Comparisons on the same test videos, against closed forms and scipy."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import stdev

import numpy as np
import pytest
from scipy.stats import binomtest

from cocon.errors import DatasetError
from cocon.evaluation.metrics import wilson_interval
from cocon.evaluation.paired import Hits, PairedDifference, accuracy_interval, compare, hits_of

ALONE: dict[str, str] = {}


def hits(*seeds: Sequence[int], split: str = "1") -> Hits:
    """One split of videos v0, v1, ...; a row per seed."""
    return {split: {f"v{n}": np.array(column, bool) for n, column in enumerate(zip(*seeds, strict=True))}}


def compared(mine: Hits, others: Hits, groups: dict[str, str] = ALONE, **more: int) -> PairedDifference:
    return compare("random", mine, others, groups, seed=0, **more)


def test_equal_predictions_do_not_differ() -> None:
    one = hits([1, 0, 1, 1], [0, 0, 1, 1])
    found = compared(one, one)
    assert (found.difference, found.sd, found.low, found.high, found.p) == (0, 0, 0, 0, 1)
    assert (found.n, found.groups, found.clear) == (4, 4, False)


@pytest.mark.parametrize(("only_mine", "only_others"), [(9, 1), (6, 3), (5, 5), (0, 4), (12, 2)])
def test_one_seed_is_mcnemars_exact_test(only_mine: int, only_others: int) -> None:
    both = 20
    mine = hits([1] * only_mine + [0] * only_others + [1] * both)
    others = hits([0] * only_mine + [1] * only_others + [1] * both)
    found = compared(mine, others, resamples=100_000)
    expected = binomtest(only_mine, only_mine + only_others, 0.5).pvalue
    assert found.p == pytest.approx(expected, abs=0.005)
    assert found.difference == pytest.approx((only_mine - only_others) / found.n)
    assert found.sd is None


def test_the_interval_is_that_of_resampled_videos() -> None:
    rng = np.random.default_rng(1)
    mine, others = rng.random((2, 3, 80)) < np.array([0.7, 0.5])[:, None, None]
    found = compared(hits(*mine), hits(*others))
    of_seeds = (mine.astype(float) - others).mean(1)
    assert found.difference == pytest.approx(of_seeds.mean())
    assert found.sd == pytest.approx(stdev(of_seeds))
    # The slow way: whole videos are drawn, all seeds of each.
    differences = (mine.astype(float) - others).mean(0)
    drawn = differences[rng.integers(0, 80, (20_000, 80))].mean(1)
    assert (found.low, found.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.005)
    assert found.clear


def test_the_same_seed_gives_the_same_figures() -> None:
    rng = np.random.default_rng(2)
    mine, others = (hits(row) for row in rng.random((2, 50)) < 0.5)
    assert compared(mine, others) == compared(mine, others)
    other = compare("random", mine, others, ALONE, seed=1)
    assert (other.low, other.high, other.p) != pytest.approx(
        (compared(mine, others).low, compared(mine, others).high, compared(mine, others).p), abs=1e-12
    )


def test_copies_of_a_video_say_no_more_than_the_video() -> None:
    rng = np.random.default_rng(3)
    mine, others = rng.random((2, 40)) < np.array([0.7, 0.45])[:, None]
    once = compared(hits(mine), hits(others))
    copies = [np.repeat(row, 4) for row in (mine, others)]
    groups = {f"v{n}": f"g{n // 4}" for n in range(160)}
    plain, grouped = compared(*map(hits, copies)), compared(*map(hits, copies), groups)
    assert grouped.difference == pytest.approx(once.difference)
    assert (grouped.low, grouped.high, grouped.p) == (once.low, once.high, once.p)
    assert (grouped.n, grouped.groups, plain.groups) == (160, 40, 160)
    width = {found.groups: found.high - found.low for found in (plain, grouped)}
    assert width[40] == pytest.approx(2 * width[160], rel=0.1)
    assert grouped.p > plain.p


def test_all_videos_of_few_groups_are_no_proof() -> None:
    """Every difference is to the good, but there are three people: one in four is what chance does."""
    mine, others = hits([1] * 60), hits([0] * 60)
    found = compared(mine, others, {f"v{n}": f"person{n % 3}" for n in range(60)})
    assert (found.low, found.high) == (1, 1)
    assert found.p == pytest.approx(2 / 2**3, abs=0.02)
    assert not found.clear
    assert compared(mine, others).clear


def test_what_cancels_out_is_no_difference() -> None:
    """One group has three times a third of the others' difference, with the other sign."""
    mine = hits([1, 1, 1, 0, 0, 0] * 5)
    others = hits([0, 0, 0, 1, 1, 1] * 5)
    groups = {f"v{n}": "one" if n % 6 < 3 else f"v{n}" for n in range(30)}
    found = compared(mine, others, groups)
    assert found.difference == pytest.approx(0, abs=1e-12)
    assert not found.clear
    single = compared(hits([1] * 3), hits([1] * 3), {"v0": "g"})
    assert (single.low, single.high, single.p) == (0, 0, 1)
    third = compared(hits([1, 0, 0], [1, 0, 0], [1, 0, 0]), hits([1, 0, 0], [0, 0, 0], [0, 0, 0]))
    assert third.low == 0


def test_splits_weigh_the_same_and_a_video_of_two_is_drawn_once() -> None:
    mine = {"1": {"a": np.array([True]), "b": np.array([True])}, "2": {"a": np.array([False])}}
    others = {"1": {"a": np.array([False]), "b": np.array([True])}, "2": {"a": np.array([False])}}
    found = compared(mine, others)
    assert found.difference == pytest.approx((0.5 + 0) / 2)
    assert (found.n, found.groups) == (3, 2)
    # b alone is drawn with probability 1/4, a alone with 1/4: its share of 3/4 has a difference of 1/4.
    assert (found.low, found.high) == pytest.approx((0, 1 / 3))


def test_only_videos_that_both_have_judged_are_compared() -> None:
    mine, others = hits([1, 1, 0]), {"1": {"v1": np.array([False]), "new": np.array([True])}}
    found = compared(mine, others)
    assert (found.n, found.difference) == (1, 1)
    with pytest.raises(DatasetError, match="no test video of split 1 has scores in all"):
        compared(mine, {"1": {"new": np.array([True])}})


def test_hits_of_all_seeds_are_put_together_by_video() -> None:
    found = hits_of(
        {
            (0, "1"): (["a", "b"], np.array([True, False])),
            (7, "1"): (["b", "a", "c"], np.array([True, False, True])),
        }
    )
    assert {video: row.tolist() for video, row in found["1"].items()} == {
        "a": [True, False],
        "b": [False, True],
    }


def test_the_interval_of_an_accuracy() -> None:
    n = 400
    right = np.arange(n) < 300
    low, high = accuracy_interval(hits(right), ALONE, seed=0)
    half = 1.96 * (0.75 * 0.25 / n) ** 0.5  # about 4 points
    assert (low, high) == pytest.approx((0.75 - half, 0.75 + half), abs=0.006)
    groups = {f"v{k}": f"g{k // 20}" for k in range(n)}
    wide = accuracy_interval(hits(right), groups, seed=0)
    assert wide[1] - wide[0] > 3 * (high - low)
    everything = accuracy_interval(hits([1] * n), groups, seed=0)
    assert everything == wilson_interval(20, 20)
