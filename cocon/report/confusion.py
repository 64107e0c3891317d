"""Confusion matrices, and the gain of pretraining per class."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from markupsafe import Markup

from cocon.pretrainings import RANDOM
from cocon.report.heatmap import shades
from cocon.report.inputs import ENSEMBLE, UNREADABLE, Inputs, PageSection, reason

_LABELLED = 32
"""Up to this many classes, the matrix names its rows and columns and writes counts into its cells."""


@dataclass(frozen=True)
class ClassAccuracy:
    """Accuracy of one class, and of the untrained encoder on it (None when that is not known)."""

    name: str
    n: int
    accuracy: float
    untrained: float | None
    confused_with: str

    @property
    def gain(self) -> float | None:
        """Difference to the untrained encoder."""
        return None if self.untrained is None else self.accuracy - self.untrained


@dataclass(frozen=True)
class Matrix:
    """The confusion matrix of one view as a drawing, and its rows as a table."""

    view: str
    split: str
    accuracy: float
    drawing: Markup
    rows: list[ClassAccuracy]


@dataclass
class ConfusionSection(PageSection):
    """One matrix per view; the ensemble comes first."""

    pretraining: str = ""
    matrices: list[Matrix] = field(default_factory=list)


def section(inputs: Inputs) -> ConfusionSection:
    """Read the linear probes' scores of every view, and of the untrained encoder."""
    page = ConfusionSection(
        "confusion", "Confusion and per-class accuracy", "Confusion", pretraining=inputs.pretraining
    )
    for view in (ENSEMBLE, *inputs.views):
        try:
            split, scores = inputs.scores(inputs.pretraining, view, "linear")
            counts_CC, names = count(scores)
        except UNREADABLE as error:
            page.missing.append(
                f"The linear probe of {inputs.pretraining}, {view}, has no scores to show ({reason(error)})."
            )
            continue
        accuracy = float(np.trace(counts_CC) / max(1, counts_CC.sum()))
        rows = _class_rows(counts_CC, names, _untrained(inputs, view, names))
        page.matrices.append(Matrix(view, split, accuracy, draw(counts_CC, names), rows))
    return page


def count(scores: dict[str, np.ndarray]) -> tuple[np.ndarray, list[str]]:
    """Confusion counts (true class, predicted class), and the names of the classes."""
    names = [str(name) for name in scores["classes"]]
    counts_CC = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts_CC, (scores["labels"], scores["probabilities"].argmax(axis=1)), 1)
    return counts_CC, names


def _untrained(inputs: Inputs, view: str, names: list[str]) -> np.ndarray | None:
    if inputs.pretraining == RANDOM:
        return None
    try:
        counts_CC, other_names = count(inputs.scores(RANDOM, view, "linear")[1])
    except UNREADABLE:
        return None
    return counts_CC if other_names == names else None


def _class_rows(
    counts_CC: np.ndarray, names: list[str], untrained_CC: np.ndarray | None
) -> list[ClassAccuracy]:
    rows = []
    for index, name in enumerate(names):
        n = int(counts_CC[index].sum())
        if n == 0:
            continue
        wrong_C = counts_CC[index].copy()
        wrong_C[index] = 0
        worst = int(wrong_C.argmax())
        before = None
        if untrained_CC is not None and untrained_CC[index].sum():
            before = float(untrained_CC[index, index] / untrained_CC[index].sum())
        confused = f"{names[worst]} ({wrong_C[worst]})" if wrong_C[worst] else ""
        rows.append(ClassAccuracy(name, n, float(counts_CC[index, index] / n), before, confused))
    return sorted(rows, key=lambda row: (-(row.gain or 0), -row.accuracy, row.name))


def draw(counts_CC: np.ndarray, names: list[str]) -> Markup:
    """The matrix, rows normalised."""
    classes = len(names)
    labelled = classes <= _LABELLED
    cell = float(np.clip(400 / classes, 21, 44)) if labelled else max(1.5, 640 / classes)
    margin = 10 + 7.2 * max(len(name) for name in names) if labelled else 4.0
    share_CC = counts_CC / np.maximum(counts_CC.sum(axis=1, keepdims=True), 1)
    parts = [shades(share_CC, cell, margin)]
    if labelled:
        parts += _labels(counts_CC, share_CC, names, margin, cell)
    size = margin + cell * classes
    frame = Markup('<rect class="frame" x="{m}" y="{m}" width="{s}" height="{s}"/>').format(
        m=margin, s=cell * classes
    )
    return Markup(
        '<svg class="matrix" viewBox="0 0 {s:.0f} {s:.0f}" style="max-width:{s:.0f}px" role="img"'
        ' aria-label="Confusion matrix, rows are true classes, columns predicted classes">{}{}</svg>'
    ).format(Markup("").join(parts), frame, s=size + 2)


def _labels(
    counts_CC: np.ndarray, share_CC: np.ndarray, names: list[str], margin: float, cell: float
) -> list[Markup]:
    parts = []
    for index, name in enumerate(names):
        at = margin + (index + 0.5) * cell
        parts.append(
            Markup('<text class="axis" x="{:.1f}" y="{:.1f}" text-anchor="end">{}</text>').format(
                margin - 7, at + 4, name
            )
        )
        parts.append(
            Markup('<text class="axis" transform="translate({:.1f} {:.1f}) rotate(-90)">{}</text>').format(
                at + 4, margin - 7, name
            )
        )
    for row, column in zip(*np.nonzero(counts_CC), strict=True):
        kind = "strong" if share_CC[row, column] > 0.5 else "weak"
        parts.append(
            Markup('<text class="count {}" x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text>').format(
                kind,
                margin + (column + 0.5) * cell,
                margin + (row + 0.5) * cell + 4,
                int(counts_CC[row, column]),
            )
        )
    return parts
