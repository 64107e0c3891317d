"""The result of an evaluation as one typed row: accuracy, its interval, coverage and chance."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from statistics import NormalDist
from typing import Any

import numpy as np

from cocon.errors import DatasetError
from cocon.loading import as_type, number

_RANK = re.compile(r"r[0-9]{1,9}")
_SHOWN = 300  # characters of what cannot be read
_FEW = 5  # hits or misses, the usual minimum for the normal approximation of a proportion


@dataclass(frozen=True)
class Task:
    """The evaluated task: one encoder, on one view, by one protocol, on one split of one data set."""

    dataset: str
    pretraining: str
    view: str
    protocol: str
    split: str
    seed: int = 0


@dataclass(frozen=True)
class Result:
    """One row of ``summary.json``. Accuracies are fractions in [0, 1].

    ``coverage`` is the fraction of the test list that could be evaluated; ``chance`` is the
    accuracy of a guess among the classes of the test list; ``recall`` maps k to R@k (retrieval only).
    """

    task: Task
    top1: float
    ci95: tuple[float, float]
    coverage: float
    n: int
    chance: float
    recall: Mapping[int, float] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        """The result as a flat mapping that JSON can hold; R@k becomes the column ``r<k>``."""
        identity = asdict(self.task)
        seed = identity.pop("seed")
        return {
            **identity,
            "top1": self.top1,
            "ci95": list(self.ci95),
            "coverage": self.coverage,
            "n": self.n,
            "chance": self.chance,
            "seed": seed,
            **{f"r{k}": value for k, value in sorted(self.recall.items())},
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Result:
        """The inverse of `row`.

        Raises:
            DatasetError: The mapping is not a row of metrics.
        """
        try:
            low, high = row["ci95"]
            return cls(
                task=as_type(Task, {key: row[key] for key in Task.__dataclass_fields__}),
                top1=number(row["top1"], 0, 1),
                ci95=(number(low, 0, 1), number(high, 0, 1)),
                coverage=number(row["coverage"], 0, 1),
                n=as_type(int, row["n"]),
                chance=number(row["chance"], 0, 1),
                recall={int(key[1:]): number(row[key], 0, 1) for key in row if is_rank(key)},
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DatasetError(
                f"this is not a row of metrics: {_in_short(error)} while reading {_in_short(row)}",
                "pass the .json files that `cocon evaluate`, `finetune` and `ensemble` write",
            ) from error


def is_rank(key: object) -> bool:
    """Whether a key of a row is an R@k."""
    return isinstance(key, str) and _RANK.fullmatch(key) is not None


def _in_short(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} ..."


def interval(hits_N: np.ndarray, resamples: int, seed: int, level: float = 0.95) -> tuple[float, float]:
    """Interval of an accuracy over test videos: by bootstrap, at the ends by Wilson's formula.

    With few hits or misses, resampling rarely gives another number than the observed one; with none the
    interval is a point. Below 5 of either, `wilson_interval` is used.

    Args:
        hits_N: Whether each test video was classified correctly, bool.
        resamples: Number of bootstrap resamples.
        seed: Seed of the resampling.
        level: Probability mass between the two ends.
    """
    hits = int(hits_N.sum())
    if min(hits, len(hits_N) - hits) < _FEW:
        return wilson_interval(hits, len(hits_N), level)
    return bootstrap_interval(hits_N, resamples, seed, level)


def wilson_interval(hits: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Score interval of a proportion (Wilson 1927, Journal of the American Statistical Association 22).

    The proportions p whose distance to hits / n is at most z standard deviations sqrt(p (1 - p) / n), z the
    two-sided quantile of the normal law. It is never a point, and includes 0 or 1 if that was observed.
    """
    z2 = NormalDist().inv_cdf((1 + level) / 2) ** 2
    middle = (hits + z2 / 2) / (n + z2)
    half = math.sqrt(z2 * (hits * (n - hits) / n + z2 / 4)) / (n + z2)
    low = 0.0 if hits == 0 else middle - half
    high = 1.0 if hits == n else middle + half
    return low, high


def bootstrap_interval(
    hits_N: np.ndarray, resamples: int, seed: int, level: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap interval of an accuracy (Efron 1979), over test videos.

    Drawing N videos with replacement, k of N being correct, gives Binomial(N, k / N) correct ones:
    the number is drawn from that law directly, which is the same bootstrap in O(resamples).

    Args:
        hits_N: Whether each test video was classified correctly, bool.
        resamples: Number of bootstrap resamples.
        seed: Seed of the resampling.
        level: Probability mass between the two ends.
    """
    n = len(hits_N)
    accuracies_R = np.random.default_rng(seed).binomial(n, hits_N.mean(), resamples) / n
    low, high = np.quantile(accuracies_R, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
