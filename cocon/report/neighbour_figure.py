"""The figure of :mod:`cocon.report.neighbour_curves`: a standalone SVG."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean

from markupsafe import Markup

from cocon.files import write_text
from cocon.pretrainings import STAGE1
from cocon.report.charts import HEIGHT, WIDTH, Axes, Series, plot
from cocon.report.inputs import order_pretrainings
from cocon.report.marks import colour_of, mark_of
from cocon.report.neighbour_curves import Curve, NeighbourLog, curves_of, read_log
from cocon.report.style import light_colours
from cocon.terminal import printable

_TITLE = "Same class among the 5 nearest videos"
_SHOWN = 40  # points of a line, so that the file stays small
_COLUMNS = 2
_MARGIN, _HEAD, _NAME, _GAP, _LINE = 16.0, 44.0, 22.0, 14.0, 17.0
_WIDE = 6.8  # width of a letter, where letters are wide


def write_figure(path: Path, logs: Iterable[Path]) -> list[Curve]:
    """Draw the figure of some logs as SVG, and return its curves.

    Raises:
        CoConError: as :func:`read_log` and :func:`curves_of`.
    """
    read = [read_log(log) for log in dict.fromkeys(logs)]
    curves = curves_of(read)
    write_text(path, figure(curves, read) + "\n")
    return curves


def figure(curves: Sequence[Curve], logs: Sequence[NeighbourLog]) -> Markup:
    """A panel for each view with a line for each pretraining, all over the same axes.

    Args:
        curves: what is drawn.
        logs: what they were made from. Pretrainings whose logs have no such measurement are named.
    """
    chances = [chance for log in logs for chance in log.chance]
    chance = mean(chances) if chances else None
    views = list(dict.fromkeys(curve.view for curve in curves))
    columns = max(1, min(_COLUMNS, len(views)))
    rows = -(-len(views) // columns)
    width, row_height = 2 * _MARGIN + WIDTH * columns, _NAME + HEIGHT + _GAP
    letters = int(WIDTH * columns / _WIDE)
    about = textwrap.wrap(_about(curves, chance), letters)
    notes = [line for note in unmeasured(logs) for line in textwrap.wrap(note, letters)]
    head = _HEAD + _LINE * len(about)
    parts = [_text("title", _MARGIN, 28, _TITLE), *_lines(about, _HEAD + 3)]
    if curves:
        axes = Axes.around(list(map(_series, curves)), "percent", "step", [chance] if chance else [])
    for place, view in enumerate(views):
        left = _MARGIN + WIDTH * (place % columns)
        top = head + row_height * (place // columns)
        panel = plot([_series(curve) for curve in curves if curve.view == view], axes, chance)
        parts.append(_text("view", left, top + 14, view))
        parts.append(Markup('<g transform="translate({:g} {:g})">{}</g>').format(left, top + _NAME, panel))
    bottom = head + row_height * rows
    parts += _lines(notes, bottom + 4)
    height = bottom + _LINE * len(notes)
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" width="{0:g}" height="{1:g}" viewBox="0 0 {0:g} {1:g}" '
        'role="img" aria-label="{2}"><style>{3}</style>'
        '<rect class="paper" width="{0:g}" height="{1:g}"/>{4}</svg>'
    ).format(width, height, _TITLE, Markup(_style(curves)), Markup("\n").join(parts))


def unmeasured(logs: Sequence[NeighbourLog]) -> list[str]:
    """A line on the pretrainings whose logs, or some of them, have no such measurement; or nothing.

    The logs of stage 1 are there for its steps, and need none.
    """
    counted = [log for log in logs if log.pretraining != STAGE1]
    of = Counter(log.pretraining for log in counted)
    without = Counter(log.pretraining for log in counted if not log.views)
    names = [
        name if without[name] == of[name] else f"{name} ({without[name]} of {of[name]} runs)"
        for name in order_pretrainings(set(without))
    ]
    return [f"not measured (see probe_every): {', '.join(names)}"] if names else []


def _about(curves: Sequence[Curve], chance: float | None) -> str:
    """What the lines are."""
    runs = sorted({curve.runs for curve in curves})
    if not runs:
        return "no run has been measured"
    if runs == [1]:
        lines = "one run each"
    else:
        counted = f"{runs[0]}" if len(runs) == 1 else f"{runs[0]} to {runs[-1]}"
        lines = f"means of {counted} runs, band: standard deviation"
    if any(curve.pretraining == STAGE1 for curve in curves):
        lines += "; grey: stage 1"
    return lines if chance is None else f"{lines}; dotted: chance, {100 * chance:.3g} %"


def _series(curve: Curve) -> Series:
    count = len(curve.steps)
    kept = sorted({round(place * (count - 1) / (_SHOWN - 1)) for place in range(_SHOWN)})
    return Series(
        "" if curve.pretraining == STAGE1 else printable(curve.pretraining),
        [curve.steps[place] for place in kept],
        [curve.means[place] for place in kept],
        (_class_of(curve.pretraining),),
        around=[curve.sds[place] for place in kept] if curve.sds else (),
        marker=mark_of(curve.pretraining)[1],
    )


def _class_of(pretraining: str) -> str:
    """Classes of all that belongs to a line; the colour is that of the variable in the first."""
    return f"of-{colour_of(pretraining)}" + " hollow" * ("hollow" in mark_of(pretraining)[0])


def _style(curves: Sequence[Curve]) -> str:
    """The style sheet, with the light colours of the report written out: viewers do not support variables."""
    colours = light_colours()
    used = dict.fromkeys(colour_of(curve.pretraining) for curve in curves)
    sheet = Path(__file__).with_name("assets").joinpath("figure.css").read_text(encoding="utf-8")
    sheet += "".join(f".of-{name} {{ color: var(--{name}); }}\n" for name in used)
    return re.sub(r"var\(--([\w-]+)\)", lambda found: colours[found[1]], sheet)


def _lines(lines: Sequence[str], top: float) -> list[Markup]:
    return [_text("note", _MARGIN, top + _LINE * row, line) for row, line in enumerate(lines)]


def _text(kind: str, x: float, y: float, text: str) -> Markup:
    return Markup('<text class="{}" x="{:g}" y="{:g}">{}</text>').format(kind, x, y, printable(text))
