"""Paired comparison of two encoders by their hits on the same test videos.

Intervals and p-values are about the test videos, for the encoders as they were trained: they measure the
effect of the choice of test videos, or groups of videos. They do not include the effect of the training seed;
the standard deviation over seeds measures that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import stdev

import numpy as np

from cocon.errors import DatasetError
from cocon.evaluation.metrics import wilson_interval

RESAMPLES = 10_000
_LEVEL = 0.95

#: whether each test video was classified correctly with each seed, bool (seeds,): by split and video
Hits = Mapping[str, Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class PairedDifference:
    """The accuracy of one encoder minus that of another one. Differences are fractions in [-1, 1].

    Attributes:
        reference: pretraining of the other encoder.
        difference: mean over the seeds of the mean over the splits.
        sd: standard deviation of the seeds' differences, of a sample; None of a single seed.
        low, high: ends of the 95 % interval, by bootstrap over groups of test videos.
        p: probability of a difference at least as large if both were equally good, by random exchange.
        n: tested videos that are compared; one that several splits test counts in each.
        groups: of them, which are drawn and exchanged as a whole.
    """

    reference: str
    difference: float
    sd: float | None
    low: float
    high: float
    p: float
    n: int
    groups: int

    @property
    def clear(self) -> bool:
        """Whether the interval excludes zero and p is below 0.05."""
        return (self.low > 0 or self.high < 0) and self.p < 1 - _LEVEL


def compare(
    reference: str,
    hits: Hits,
    others: Hits,
    groups: Mapping[str, str],
    seed: int,
    resamples: int = RESAMPLES,
) -> PairedDifference:
    """Compare two encoders on the test videos that both have scores for.

    The hits of a video are averaged over the seeds first. Videos of a group (a person, a film) are not
    independent, nor is a video in two splits: a group is drawn as a whole (cluster bootstrap), and its
    differences change sign together. With one seed and videos without groups the p-value is that of McNemar's
    exact test, up to the number of resamples.

    Args:
        reference: name of the other encoder.
        hits: hits of this encoder; both have the same splits and seeds.
        others: hits of the other encoder.
        groups: group of each video; a video that has none is one of its own.
        seed: of the resampling.
        resamples: number of each kind.

    Raises:
        DatasetError: no video of a split has scores of both.
    """
    common = {split: [video for video in found if video in others[split]] for split, found in hits.items()}
    differences = {
        split: {video: hits[split][video].astype(float) - others[split][video] for video in videos}
        for split, videos in common.items()
    }
    parts_GS, shares_G = _by_group(differences, groups)
    by_seed = parts_GS.sum(0)
    parts_G = parts_GS.mean(1)
    low, high = _bootstrap(parts_G, shares_G, seed, resamples)
    return PairedDifference(
        reference,
        float(by_seed.mean()),
        stdev(by_seed.tolist()) if len(by_seed) > 1 else None,
        low,
        high,
        _exchange(parts_G, seed, resamples),
        sum(map(len, common.values())),
        len(shares_G),
    )


def accuracy_interval(
    hits: Hits, groups: Mapping[str, str], seed: int, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """95 % interval of the mean accuracy over seeds and splits, by bootstrap over groups of test videos.

    If all groups have the same accuracy, the bootstrap interval is a point: Wilson's interval is used
    instead, with one trial per group.
    """
    parts_GS, shares_G = _by_group(hits, groups)
    parts_G = parts_GS.mean(1)
    accuracy = float(parts_G.sum())
    if np.allclose(parts_G / shares_G, accuracy):
        return wilson_interval(round(accuracy * len(parts_G)), len(parts_G), _LEVEL)
    return _bootstrap(parts_G, shares_G, seed, resamples)


def _by_group(values: Hits, groups: Mapping[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """What each group adds to the mean over splits (G, seeds), and its share of all videos (G,).

    Every split weighs the same, whatever the number of its videos.
    """
    parts: dict[str, np.ndarray | float] = defaultdict(float)
    shares: dict[str, float] = defaultdict(float)
    for split, found in values.items():
        if not found:
            raise DatasetError(
                f"no test video of split {split} has scores in all files that are compared",
                "give scores of the same data set, all made with its present manifest",
            )
        share = 1 / (len(values) * len(found))
        for video, of_seeds in found.items():
            unit = groups.get(video) or video
            parts[unit] = parts[unit] + share * of_seeds
            shares[unit] += share
    return np.array(list(parts.values())), np.array(list(shares.values()))


def _bootstrap(parts_G: np.ndarray, shares_G: np.ndarray, seed: int, resamples: int) -> tuple[float, float]:
    """Percentile interval (Efron 1979) of the sum of parts, to that of shares, over drawn groups.

    Groups that are alike are drawn together, by their number: the same law in less time.
    """
    kinds_K2, counts_K = _kinds(np.stack([parts_G, shares_G], 1))
    count = len(parts_G)
    drawn_RK = np.random.default_rng(seed).multinomial(count, counts_K / count, resamples)
    sums_R2 = drawn_RK @ kinds_K2
    means_R = (sums_R2[:, 0] / sums_R2[:, 1]).round(12)  # so that exact cancellation gives zero
    low, high = np.quantile(means_R, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return float(low), float(high)


def _exchange(parts_G: np.ndarray, seed: int, resamples: int) -> float:
    """Two-sided p-value: the encoders exchange their hits in every group with probability 1/2."""
    sizes_K1, counts_K = _kinds(np.abs(parts_G)[:, None])
    kept_RK = np.random.default_rng(seed).binomial(counts_K, 0.5, (resamples, len(counts_K)))
    sums_R = (2 * kept_RK - counts_K) @ sizes_K1[:, 0]
    as_large = np.abs(sums_R) >= abs(parts_G.sum()) - 1e-9
    return float((1 + as_large.sum()) / (1 + resamples))


def _kinds(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows that differ by more than rounding, and how often each occurs."""
    _, first, counts = np.unique(rows.round(12), axis=0, return_index=True, return_counts=True)
    return rows[first], counts


def hits_of(repetitions: Mapping[tuple[int, str], tuple[Sequence[str], np.ndarray]]) -> Hits:
    """The hits of one encoder by split and video, of those videos that were evaluated with every seed.

    Args:
        repetitions: by seed and split, ids of test videos and whether each was classified correctly.
    """
    seeds = sorted({seed for seed, _ in repetitions})
    found: dict[str, dict[str, np.ndarray]] = {}
    for split in dict.fromkeys(split for _, split in repetitions):
        tables = [dict(zip(*repetitions[seed, split], strict=True)) for seed in seeds]
        shared = [video for video in tables[0] if all(video in table for table in tables)]
        found[split] = {video: np.array([table[video] for table in tables], bool) for video in shared}
    return found
