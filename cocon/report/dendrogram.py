"""A dendrogram of classes (average linkage); the most similar ones are joined first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from cocon.report.charts import ticks

_WIDTH, _LEAF, _TOP = 560.0, 17.0, 8.0
_SHORTEST = 1e-6  # of the axis: below that, distances are rounding errors


def draw_tree(cosines_CC: np.ndarray, names: Sequence[str]) -> Markup:
    """Draw the tree with a leaf per class; a joint stands at the mean cosine of the two groups it joins.

    Args:
        cosines_CC: symmetric similarities of at least two classes.
        names: of the classes.
    """
    from scipy.cluster.hierarchy import dendrogram, linkage
    from scipy.spatial.distance import squareform

    distance_CC = np.maximum(1 - (cosines_CC + cosines_CC.T) / 2, 0)
    np.fill_diagonal(distance_CC, 0)
    joints = linkage(squareform(distance_CC, checks=False), "average", optimal_ordering=len(names) <= 200)
    tree = dendrogram(joints, no_plot=True)
    leaves = [names[int(leaf)] for leaf in tree["leaves"]]
    right = _WIDTH - 10 - 7.0 * max(len(name) for name in names)
    marks = ticks(0.0, max(float(joints[:, 2].max()), _SHORTEST))
    scale = (right - 10) / marks[-1]
    bottom = _TOP + _LEAF * len(leaves)
    parts = [
        Markup(
            '<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{}" y2="{}"/>'
            '<text class="tick" x="{x:.1f}" y="{}" text-anchor="middle">{:g}</text>'
        ).format(_TOP, bottom, bottom + 15, round(1 - mark, 6), x=right - mark * scale)
        for mark in marks
    ]
    # SciPy puts the leaves at 5, 15, 25, ... and gives each joint as four corners.
    for places, distances in zip(tree["icoord"], tree["dcoord"], strict=True):
        y = [_TOP + _LEAF * place / 10 for place in places]
        x = [right - distance * scale for distance in distances]
        parts.append(
            Markup(
                '<path class="branch" d="M{:.1f} {:.1f}H{:.1f}V{:.1f}H{:.1f}"><title>{:.3f}</title></path>'
            ).format(x[0], y[0], x[1], y[2], x[3], 1 - distances[1])
        )
    for index, name in enumerate(leaves):
        parts.append(
            Markup('<text class="axis" x="{:.1f}" y="{:.1f}">{}</text>').format(
                right + 8, _TOP + _LEAF * (index + 0.5) + 4, name
            )
        )
    return Markup(
        '<svg class="tree" viewBox="0 0 {} {:.0f}" role="img"'
        ' aria-label="Tree of classes by their mean cosine">{}</svg>'
    ).format(_WIDTH, bottom + 22, Markup("").join(parts))
