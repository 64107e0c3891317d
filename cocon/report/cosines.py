"""Histograms of cosines between videos of one class, and of different classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

_BINS = 200  # of the counts, from -1 to 1
_DRAWN = 50
_WIDTH, _PANEL, _GAP, _LEFT, _RIGHT = 370.0, 92.0, 26.0, 8.0, 362.0


@dataclass(frozen=True)
class Cosines:
    """Shares of pairs per bin of [-1, 1], of one class and of different classes.

    ``separation`` is the probability that a pair of one class is more alike than a pair of different
    classes: .5 is chance, 1 is perfect separation (the area under the ROC curve). It is NaN if all pairs are
        of one kind.
    """

    same: np.ndarray
    other: np.ndarray
    separation: float


def compare(x_ND: np.ndarray, labels_N: np.ndarray) -> Cosines:
    """Count the cosines of all pairs of rows.

    Args:
        x_ND: unit rows.
        labels_N: class numbers.
    """
    from scipy.stats import rankdata

    first, second = np.triu_indices(len(x_ND), 1)
    # Rounded, so that the last bits of a matrix product put no order into pairs that are equally alike.
    cosines_P = np.clip((x_ND @ x_ND.T)[first, second], -1, 1).round(9)
    same_P = labels_N[first] == labels_N[second]
    same, other = (
        np.histogram(cosines_P[chosen], _BINS, (-1, 1))[0] / max(1, chosen.sum())
        for chosen in (same_P, ~same_P)
    )
    pairs = int(same_P.sum())
    if pairs in (0, len(same_P)):
        return Cosines(same, other, float("nan"))
    ranks = float(rankdata(cosines_P)[same_P].sum())
    separation = (ranks - pairs * (pairs + 1) / 2) / (pairs * (len(same_P) - pairs))
    return Cosines(same, other, separation)


def draw_cosines(rows: Sequence[tuple[str, Cosines]], style: str, name: str) -> Markup:
    """One panel per encoder below the other, over a common axis that ends where there are no more pairs.

    Args:
        rows: name of the encoder and its cosines.
        style: class that sets ``--series``.
        name: alternative text.
    """
    used = np.flatnonzero(sum(cosines.same + cosines.other for _, cosines in rows))
    low, high = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, _BINS)
    merged = max(1, (high - low) // _DRAWN)
    high = min(_BINS, low + -(-(high - low) // merged) * merged)
    parts = []
    for index, (encoder, cosines) in enumerate(rows):
        top = 16 + index * (_PANEL + _GAP)
        curves = [_merged(shares[low:high], merged) for shares in (cosines.other, cosines.same)]
        most = max(float(curve.max()) for curve in curves) or 1.0
        parts.append(Markup('<text class="row" x="{}" y="{:.0f}">{}</text>').format(_LEFT, top - 3, encoder))
        for kind, curve in zip(("other", "same"), curves, strict=True):
            parts.append(_steps(curve / most, top, kind, style))
        parts.append(
            Markup('<line class="grid" x1="{}" x2="{}" y1="{y:.1f}" y2="{y:.1f}"/>').format(
                _LEFT, _RIGHT, y=top + _PANEL
            )
        )
    bottom = 16 + len(rows) * (_PANEL + _GAP) - _GAP
    for place, text in zip(np.linspace(_LEFT, _RIGHT, 5), np.linspace(low, high, 5), strict=True):
        parts.append(
            Markup('<text class="tick" x="{:.1f}" y="{:.0f}" text-anchor="{}">{:.2f}</text>').format(
                place, bottom + 15, {_LEFT: "start", _RIGHT: "end"}.get(float(place), "middle"),
                2 * text / _BINS - 1,
            )
        )  # fmt: skip
    return Markup('<svg class="cosines" viewBox="0 0 {} {:.0f}" role="img" aria-label="{}">{}</svg>').format(
        _WIDTH, bottom + 20, name, Markup("").join(parts)
    )


def _merged(shares: np.ndarray, merged: int) -> np.ndarray:
    padded = np.pad(shares, (0, -len(shares) % merged))
    return np.asarray(padded.reshape(-1, merged).sum(1))


def _steps(curve: np.ndarray, top: float, kind: str, style: str) -> Markup:
    width, bottom = (_RIGHT - _LEFT) / len(curve), top + _PANEL
    steps = "".join(f"V{bottom - (_PANEL - 4) * value:.1f}h{width:.2f}" for value in curve)
    return Markup('<path class="pairs {} {}" d="M{} {:.1f}{}V{:.1f}z"/>').format(
        kind, style, _LEFT, bottom, steps, bottom
    )
