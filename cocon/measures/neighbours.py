"""Pairs of videos, mean cosines within and between classes, and the share of the same class among
neighbours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

NEAREST = 5
_AT_ONCE = 256


@dataclass(frozen=True)
class Pairs:
    """Which of N videos are compared: those of different groups.

    Attributes:
        labels_N: number of each video's class.
        groups_N: number of each video's group.
    """

    labels_N: np.ndarray
    groups_N: np.ndarray

    @classmethod
    def of(cls, labels: Sequence[int], groups: Sequence[str]) -> Pairs:
        """Pairs of videos with these classes and groups; of a single group, every video is one of its own."""
        _, groups_N = np.unique(groups, return_inverse=True)
        if len(groups_N) and not groups_N.any():
            groups_N = np.arange(len(groups_N))
        return cls(np.asarray(labels), groups_N)

    def blocks(self) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """R rows at a time: which, their pairs (R, N) of one class, and those of different classes."""
        for start in range(0, len(self.labels_N), _AT_ONCE):
            rows = slice(start, start + _AT_ONCE)
            compared_RN = self.groups_N[rows, None] != self.groups_N
            alike_RN = self.labels_N[rows, None] == self.labels_N
            yield rows, compared_RN & alike_RN, compared_RN & ~alike_RN


def mean_products(x_ND: np.ndarray, y_ND: np.ndarray, pairs: Pairs) -> tuple[float | None, float | None]:
    """Mean of x_i . y_j over pairs (i, j) of one class, and of different ones; None without pairs.

    For unit vectors these are cosines. For means of several unit vectors per video they are mean cosines over
    all pairs of a vector of one video and a vector of the other.

    Args:
        x_ND: a vector per video.
        y_ND: the same, or of the same videos in another view.
        pairs: which are compared.
    """
    sums, counts = np.zeros(2), np.zeros(2)
    for rows, *kinds in pairs.blocks():
        products_RN = x_ND[rows] @ y_ND.T
        for kind, chosen_RN in enumerate(kinds):
            sums[kind] += products_RN[chosen_RN].sum()
            counts[kind] += chosen_RN.sum()
    same, other = (float(total / n) if n else None for total, n in zip(sums, counts, strict=True))
    return same, other


def nearest_share(
    x_ND: np.ndarray, pairs: Pairs, nearest: int = NEAREST
) -> tuple[float | None, float | None, int]:
    """The share of videos of the same class among the nearest.

    Args:
        x_ND: unit vectors, one per video.
        pairs: which are compared.
        nearest: number of neighbours.

    Returns:
        Mean share of videos of the same class among the nearest ones, what it would be if these were drawn
        at random, and the number of videos that have another one of their class; None without any.
    """
    shares: list[np.ndarray] = []
    chances: list[np.ndarray] = []
    for rows, same_RN, other_RN in pairs.blocks():
        judged_R = same_RN.any(1)
        same_JN, compared_JN = same_RN[judged_R], (same_RN | other_RN)[judged_R]
        cosines_JN = (x_ND[rows] @ x_ND.T)[judged_R]
        shares.append(_share(np.where(compared_JN, cosines_JN, -np.inf), same_JN, nearest))
        chances.append(same_JN.sum(1) / compared_JN.sum(1))
    share_N, chance_N = np.concatenate(shares), np.concatenate(chances)
    share, chance = (float(values.mean()) if len(values) else None for values in (share_N, chance_N))
    return share, chance, len(share_N)


def _share(cosines_RN: np.ndarray, same_RN: np.ndarray, nearest: int) -> np.ndarray:
    """Share of the same class among the nearest; a video with fewer others has fewer neighbours.

    Cosines are rounded. Ties count as in a random order, so the share is at chance if all videos are alike.
    """
    shares = []
    for cosines_N, same_N in zip(cosines_RN.round(9), same_RN, strict=True):
        k = min(nearest, int(np.isfinite(cosines_N).sum()))
        last = np.partition(cosines_N, -k)[-k]
        above, equal = cosines_N > last, cosines_N == last
        left = k - above.sum()
        shares.append((same_N[above].sum() + left * same_N[equal].mean()) / k)
    return np.array(shares)
