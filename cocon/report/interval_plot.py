"""Interval plots as SVG; colours come from the style sheet of the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from cocon.report.charts import WIDTH, axis
from cocon.report.marks import marker_path


@dataclass(frozen=True)
class Dot:
    """A value with its interval in one row of an interval plot; ``style`` picks colour and marker."""

    row: str
    name: str
    style: str
    value: float
    low: float
    high: float


def interval_plot(dots: Sequence[Dot], rows: Sequence[str], markers: dict[str, str], chance: float) -> Markup:
    """Values in [0, 1] with 95 % intervals: one band per row, one marker shape per style, chance dashed.

    Args:
        dots: in the order in which they stand within a row, from top to bottom.
        rows: names of the rows, from top to bottom.
        markers: shape by style.
        chance: position of the dashed line.
    """
    per_row = max((sum(dot.row == row for dot in dots) for row in rows), default=1)
    band = 13.0 * max(1, per_row) + 12
    left, right, top = 74.0, WIDTH - 16, 6.0
    bottom = top + band * len(rows)
    x_at = axis(0, 1, left, right, "number")
    parts = [
        Markup('<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{}" y2="{}"/>'
               '<text class="tick" x="{x:.1f}" y="{}" text-anchor="middle">{}</text>').format(
            top, bottom, bottom + 16, f"{round(100 * tick)}" + (" %" if tick == 1 else ""), x=x_at(tick))
        for tick in (0, 0.2, 0.4, 0.6, 0.8, 1.0)
    ]  # fmt: skip
    parts.append(
        Markup('<line class="chance" x1="{x:.1f}" x2="{x:.1f}" y1="{}" y2="{}"/>').format(
            top, bottom, x=x_at(chance)
        )
    )
    for index, row in enumerate(rows):
        parts.append(
            _band(row, [dot for dot in dots if dot.row == row], top + band * index, band, x_at, markers)
        )
    return Markup(
        '<svg class="intervals" viewBox="0 0 {} {:.0f}" role="img" aria-label="{}">{}</svg>'
    ).format(WIDTH, bottom + 22, "Accuracy with 95 % intervals per view", Markup("").join(parts))


def _band(
    row: str,
    dots: Sequence[Dot],
    top: float,
    band: float,
    x_at: Callable[[float], float],
    markers: dict[str, str],
) -> Markup:
    drawn = Markup('<line class="grid" x1="0" x2="{}" y1="{y:.1f}" y2="{y:.1f}"/>').format(WIDTH - 16, y=top)
    drawn += Markup('<text class="row" x="0" y="{:.1f}">{}</text>').format(top + band / 2 + 4, row)
    for index, dot in enumerate(dots):
        y = top + 12 + 13 * index
        drawn += Markup(
            '<g class="dot {}"><title>{}: {:.1f} % ({:.1f} to {:.1f})</title>'
            '<line x1="{:.1f}" x2="{:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
            '<path d="{}" transform="translate({:.1f} {y:.1f})"/></g>'
        ).format(
            dot.style, dot.name, 100 * dot.value, 100 * dot.low, 100 * dot.high,
            x_at(dot.low), x_at(dot.high), marker_path(markers[dot.style]), x_at(dot.value), y=y,
        )  # fmt: skip
    return drawn
