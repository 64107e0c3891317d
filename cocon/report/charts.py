"""Line charts as SVG; colours come from the style sheet of the page or figure."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from markupsafe import Markup

from cocon.report.marks import marker_path

Scale = Literal["number", "percent", "log"]

WIDTH, HEIGHT = 370.0, 210.0
"""Size of a chart of lines."""
_LEFT, _TOP, _BOTTOM = 42.0, 8.0, 26.0
_LABEL_HEIGHT = 13.0
_MARKS_APART = 45.0
_FARTHEST = 1e12  # of x, which counts epochs
_SAME = 1e-9  # values that differ by less, relatively, are drawn as one
HUGE = 1e100
"""Numbers from this size on are left out of a chart, like those that are not finite."""


@dataclass(frozen=True)
class Series:
    """One line, with its name at its right end where it is not dashed.

    Attributes:
        name: of the line; empty: it has none.
        x, y: its points.
        styles: classes that set the colour; a second one is dashed over the first.
        dashed: whether it is one of validation videos.
        around: half of the width of a band around it, at each point; empty: there is none.
        marker: shape of the marks on some of its points; empty: there are none.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    styles: tuple[str, ...]
    dashed: bool = False
    around: Sequence[float] = ()
    marker: str = ""

    @property
    def edges(self) -> list[tuple[float, float]]:
        """Lower and upper edge of the band at each point; without one, the point twice."""
        return [
            (y - half, y + half) for y, half in zip(self.y, self.around or [0.0] * len(self.y), strict=True)
        ]


@dataclass(frozen=True)
class Axes:
    """The axes of one or several charts.

    Attributes:
        x: the smallest and the largest x.
        y: the ticks, from the lower to the upper end.
        right: where x ends, in the units of the drawing.
        scale: of y.
        x_label: what x counts.
    """

    x: tuple[float, float]
    y: Sequence[float]
    right: float
    scale: Scale
    x_label: str

    @classmethod
    def around(cls, series: Sequence[Series], scale: Scale, x_label: str, also: Sequence[float] = ()) -> Axes:
        """Axes that show all points and bands, and some more values of y.

        Raises:
            ValueError: if there is no point.
        """
        if not series:
            raise ValueError("a chart needs at least one finite point")
        longest = max(len(x_label), *(len(line.name) for line in series if not line.dashed), 0)
        values = [*also, *(edge for line in series for pair in line.edges for edge in pair)]
        y = _log_ticks(min(values), max(values)) if scale == "log" else ticks(min(values), max(values))
        x = [x for line in series for x in line.x]
        return cls((min(x), max(max(x), min(x) + 1)), y, WIDTH - 16 - 6.4 * longest, scale, x_label)

    def x_at(self, value: float) -> float:
        """Horizontal position of an x."""
        return axis(*self.x, _LEFT, self.right, "number")(value)

    def y_at(self, value: float) -> float:
        """Vertical position of a y."""
        return axis(self.y[0], self.y[-1], HEIGHT - _BOTTOM, _TOP, self.scale)(value)


def ticks(low: float, high: float, count: int = 4) -> list[float]:
    """About ``count`` round numbers from at or below ``low`` to at or above ``high``."""
    if high - low <= max(_SAME * max(abs(low), abs(high)), 1 / HUGE):
        high = low + (abs(low) if abs(low) > 1 / HUGE else 1.0)
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{index * step:.12g}") for index in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    return [10.0**power for power in range(first, max(last, first + 1) + 1)]


def show(value: float, scale: Scale) -> str:
    """Format a value for an axis or a tooltip."""
    if scale == "percent":
        return f"{100 * value:.3g} %"
    if scale == "log":
        return f"{value:.2g}".replace("e-0", "e-")
    return f"{value:.4g}"


def line_chart(series: Sequence[Series], *, scale: Scale = "number", x_label: str = "epoch") -> Markup:
    """Draw lines over a common x axis, each with its name at its right end.

    Args:
        series: at least one line; points that are not finite, or absurdly far away, are left out.
        scale: numbers, fractions shown as per cent, or a logarithmic axis.
        x_label: what x counts.
    """
    series = [kept for line in series if (kept := _finite(line, scale)).x]
    axes = Axes.around(series, scale, x_label)
    hover = {
        "x": [*axes.x, _LEFT, axes.right],
        "label": x_label,
        "series": [
            {"name": _hover_name(line), "style": line.styles[0], "x": list(line.x),
             "y": [round(axes.y_at(y), 1) for y in line.y], "text": [show(y, scale) for y in line.y]}
            for line in series
        ],
    }  # fmt: skip
    names = ", ".join(line.name for line in series if not line.dashed)
    return Markup(
        '<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}" data-chart="{}">{}'
        '<line class="cursor" y1="{}" y2="{}" visibility="hidden"/></svg>'
    ).format(
        WIDTH, HEIGHT, names, json.dumps(hover), plot(series, axes), _TOP, HEIGHT - _BOTTOM
    )  # fmt: skip


def plot(series: Sequence[Series], axes: Axes, chance: float | None = None) -> Markup:
    """What a chart shows, in a drawing of :data:`WIDTH` by :data:`HEIGHT`.

    Args:
        series: lines whose points are all finite.
        axes: show all points of the lines.
        chance: position of a dotted line; None: no line.
    """
    parts = [_grid(axes), _x_axis(axes)]
    if chance is not None:
        parts.append(
            Markup('<line class="chance" x1="{}" x2="{:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>').format(
                _LEFT, axes.right, y=axes.y_at(chance)
            )
        )
    parts += [_band_around(line, axes) for line in series if line.around]
    parts += [_line(line, axes.x_at, axes.y_at) for line in series]
    parts += [_marks(line, axes) for line in series if line.marker]
    named = [line for line in series if line.name and not line.dashed]
    parts += _end_labels(named, axes.y_at, axes.right)
    return Markup("").join(parts)


def has_points(line: Series, scale: Scale) -> bool:
    """Whether a line has a point that a chart can show."""
    return bool(_finite(line, scale).x)


def _finite(line: Series, scale: Scale) -> Series:
    lowest = 1 / HUGE if scale == "log" else -math.inf
    points = zip(line.x, line.y, strict=True)
    kept = [(x, y) for x, y in points if abs(x) < _FARTHEST and abs(y) < HUGE and y > lowest]
    return replace(line, x=[x for x, _ in kept], y=[y for _, y in kept])


def _hover_name(line: Series) -> str:
    return f"{line.name}, validation" if line.dashed else line.name


def axis(low: float, high: float, start: float, stop: float, scale: Scale) -> Callable[[float], float]:
    """From values between ``low`` and ``high`` to places between ``start`` and ``stop``."""
    of = math.log10 if scale == "log" else float

    def at(value: float) -> float:
        return start + (of(value) - of(low)) / (of(high) - of(low)) * (stop - start)

    return at


def _grid(axes: Axes) -> Markup:
    return Markup("").join(
        Markup('<line class="grid" x1="{}" x2="{:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>').format(
            _LEFT, axes.right, y=y
        )
        + Markup('<text class="tick" x="{}" y="{:.1f}" text-anchor="end">{}</text>').format(
            _LEFT - 6, y + 4, show(value, axes.scale)
        )
        for value in axes.y
        for y in [axes.y_at(value)]
    )


def _x_axis(axes: Axes) -> Markup:
    low, high = axes.x
    inside = [value for value in ticks(low, high, 5) if low <= value <= high and value == int(value)]
    marks = Markup("").join(
        Markup('<text class="tick" x="{:.1f}" y="{}" text-anchor="middle">{:g}</text>').format(
            axes.x_at(value), HEIGHT - _BOTTOM + 16, value
        )
        for value in inside
    )
    last = f"{max(inside, default=0):g}"
    return marks + Markup('<text class="tick" x="{:.1f}" y="{}" text-anchor="start">{}</text>').format(
        axes.right + max(12.0, 4 + 4 * len(last)), HEIGHT - _BOTTOM + 16, axes.x_label
    )


def _band_around(line: Series, axes: Axes) -> Markup:
    along = list(zip(map(axes.x_at, line.x), line.edges, strict=True))
    upper = [(x, high) for x, (_, high) in along]
    lower = [(x, low) for x, (low, _) in along]
    points = " ".join(f"{x:.1f},{axes.y_at(y):.1f}" for x, y in [*upper, *reversed(lower)])
    return Markup('<polygon class="band {}" points="{}"/>').format(line.styles[0], points)


def _marks(line: Series, axes: Axes) -> Markup:
    """Marks on the last point and on some before it."""
    places: list[tuple[float, float]] = []
    for x, y in zip(map(axes.x_at, reversed(line.x)), map(axes.y_at, reversed(line.y)), strict=True):
        if not places or places[-1][0] - x >= _MARKS_APART:
            places.append((x, y))
    return Markup("").join(
        Markup('<path class="mark {}" d="{}" transform="translate({:.1f} {:.1f})"/>').format(
            line.styles[0], marker_path(line.marker), x, y
        )
        for x, y in places
    )


def _line(line: Series, x_at: Callable[[float], float], y_at: Callable[[float], float]) -> Markup:
    points = " ".join(f"{x_at(x):.1f},{y_at(y):.1f}" for x, y in zip(line.x, line.y, strict=True))
    if len(line.x) == 1:
        return Markup('<circle class="point {}" cx="{:.1f}" cy="{:.1f}" r="3"/>').format(
            line.styles[0], x_at(line.x[0]), y_at(line.y[0])
        )
    kinds = ["validation" if line.dashed else "line", *["over"] * (len(line.styles) - 1)]
    return Markup("").join(
        Markup('<polyline class="{} {}" points="{}"/>').format(kind, style, points)
        for kind, style in zip(kinds, line.styles, strict=False)
    )


def _end_labels(series: Sequence[Series], y_at: Callable[[float], float], right: float) -> list[Markup]:
    wanted = sorted((y_at(line.y[-1]), index) for index, line in enumerate(series))
    placed = spread([y for y, _ in wanted], _LABEL_HEIGHT, _TOP, HEIGHT - _BOTTOM)
    return [
        Markup('<text class="name {}" x="{:.1f}" y="{:.1f}">{}</text>').format(
            series[index].styles[-1], right + 7, y + 4, series[index].name
        )
        for y, (_, index) in zip(placed, wanted, strict=True)
    ]


def spread(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move sorted positions apart until neighbours are ``gap`` away, within [low, high] where possible."""
    placed = list(positions)
    for index in range(1, len(placed)):
        placed[index] = max(placed[index], placed[index - 1] + gap)
    overshoot = placed[-1] - high if placed else 0.0
    if overshoot > 0:
        placed[-1] = high
        for index in range(len(placed) - 2, -1, -1):
            placed[index] = min(placed[index], placed[index + 1] - gap)
    if placed and placed[0] < low:
        placed = [position + low - placed[0] for position in placed]
    return placed
