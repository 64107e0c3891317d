"""The feature space: a map of the test videos, and cosines within and between classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from markupsafe import Markup

from cocon.report.cosines import Cosines, compare, draw_cosines
from cocon.report.inputs import ENSEMBLE, UNREADABLE, Inputs, PageSection, reason
from cocon.report.maps import collapsed, colours, draw_map, embed

#: at most so many test videos: t-SNE of 2,000 takes about 10 s per view, pairs grow with the square
_VIDEOS = 2000


@dataclass(frozen=True)
class ViewMap:
    """One view (or all together): its map and its cosines, of the baseline where there is one."""

    name: str
    map: Markup
    cosines: Markup
    separation: float | None
    baseline: float | None


@dataclass
class FeatureSpaceSection(PageSection):
    """A map and a histogram per view; ``legend`` is (class, style)."""

    pretraining: str = ""
    compared_with: str = ""
    views: list[ViewMap] = field(default_factory=list)
    legend: list[tuple[str, str]] = field(default_factory=list)
    classes: int = 0
    shown: int = 0
    total: int = 0


def section(inputs: Inputs) -> FeatureSpaceSection:
    """Embed and compare the test videos of the first split that all views have features of."""
    page = FeatureSpaceSection("space", "Feature space", "Feature space", pretraining=inputs.pretraining)
    views, page.missing = inputs.views_with_features(inputs.pretraining)
    if not views:
        return page
    try:
        ids, labels_N, names, page.total = _test_videos(inputs, views)
        features = unit_features(inputs, inputs.pretraining, ids, views)
    except UNREADABLE as error:
        page.missing.append(f"The features of {inputs.pretraining} cannot be shown ({reason(error)}).")
        return page
    page.shown = len(ids)
    try:
        before = unit_features(inputs, inputs.baseline(), ids, views) if inputs.baseline() else {}
    except UNREADABLE:  # without the baseline, or one that lacks some of these videos
        before = {}
    page.compared_with = inputs.baseline() if before else ""
    styles = colours(len(names))
    page.legend = [(name, style) for name, style in zip(names, styles, strict=True) if style]
    page.classes = len(names)
    for name, x_ND in features.items():
        after = compare(x_ND, labels_N)
        untrained = compare(before[name], labels_N) if name in before else None
        style = "view-all" if name == ENSEMBLE else f"view-{name}"
        rows: list[tuple[str, Cosines]] = [(page.compared_with, untrained)] if untrained else []
        page.views.append(
            ViewMap(
                name,
                draw_map(embed(x_ND), labels_N, names, styles, f"t-SNE of {name}"),
                draw_cosines([*rows, (inputs.pretraining, after)], style, f"Cosines of {name}"),
                _known(after.separation),
                _known(untrained.separation) if untrained else None,
            )
        )
        if collapsed(x_ND):
            page.missing.append(
                f"All {len(ids)} test videos have the same features in {name}: the map is one point, and the "
                "cosines say nothing. Either the videos are copies of each other, or the encoder collapsed."
            )
    if any(view.separation is None for view in page.views):
        page.missing.append(
            "No two of these videos are of one class, or all of them are, so there is no separation."
        )
    return page


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _test_videos(inputs: Inputs, views: Sequence[str]) -> tuple[list[str], np.ndarray, list[str], int]:
    """Ids, class numbers, names of these classes and how many there are in all; a random part of many."""
    split = inputs.split()
    common = set.intersection(*(set(inputs.features(inputs.pretraining, view).rows) for view in views))
    _, found = split.available(common)
    kept = np.sort(np.random.default_rng(0).permutation(len(found))[:_VIDEOS])
    ids = [found[index] for index in kept]
    present, labels_N = np.unique([split.test[video] for video in ids], return_inverse=True)
    return ids, labels_N, [split.classes[number] for number in present], len(found)


def unit_features(
    inputs: Inputs, pretraining: str, ids: list[str], views: Sequence[str]
) -> dict[str, np.ndarray]:
    """Unit rows (N, D) by view; side by side, weighted as in the late fusion, for all views together.

    Raises:
        DatasetError: when features are missing or not finite.
    """
    found = {}
    for view in views:
        x_ND = inputs.features(pretraining, view).select("encoder", ids).astype(np.float64)
        found[view] = x_ND / np.maximum(np.linalg.norm(x_ND, axis=1, keepdims=True), 1e-12)
    weights: dict[str, float] = dict(inputs.settings.recipe.evaluation.ensemble.items())
    total = sum(weights.get(view, 0.0) for view in found)
    if len(found) > 1 and total > 0:
        found[ENSEMBLE] = np.concatenate(
            [x_ND * (weights.get(view, 0.0) / total) ** 0.5 for view, x_ND in found.items()], axis=1
        )
    return found
