"""A matrix as shaded squares: one path per shade, so that 400 x 400 of them stay small."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

LEVELS = 10


def shades(share_NM: np.ndarray, cell: float, margin: float = 0.0, levels: int = LEVELS) -> Markup:
    """Squares of ``cell`` px for values in [0, 1], the top left one at (margin, margin); 0 is left out."""
    level_NM = np.ceil(share_NM * levels - 1e-9).astype(int)
    parts = []
    for level in range(1, levels + 1):
        cells = "".join(
            f"M{margin + column * cell:.5g} {margin + row * cell:.5g}h{cell:.4g}v{cell:.4g}h-{cell:.4g}z"
            for row, column in zip(*np.nonzero(level_NM == level), strict=True)
        )
        if cells:
            parts.append(
                Markup('<path class="heat" style="--level:{}" d="{}"/>').format(level / levels, cells)
            )
    return Markup("").join(parts)


def shaded(share_NM: np.ndarray, name: str, cell: float = 12.0) -> Markup:
    """A drawing of values in [0, 1], with its name as alternative text."""
    rows, columns = share_NM.shape
    return Markup(
        '<svg class="heatmap" viewBox="-1 -1 {w:.0f} {h:.0f}" role="img" aria-label="{n}">{s}'
        '<rect class="frame" width="{x}" height="{y}"/></svg>'
    ).format(
        w=columns * cell + 2, h=rows * cell + 2, n=name, s=shades(share_NM, cell, levels=20),
        x=columns * cell, y=rows * cell,
    )  # fmt: skip
