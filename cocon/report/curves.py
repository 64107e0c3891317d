"""Loss curves from the ``log.jsonl`` files of pretraining."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from markupsafe import Markup

from cocon.pretrainings import PAIRS, TERMS
from cocon.report.charts import HUGE, Scale, Series, has_points, line_chart
from cocon.report.inputs import Inputs, PageSection, order_pretrainings, read_lines, reason

_TITLES: dict[str, tuple[str, Scale, str]] = {
    **{name: (term.title, "number", term.note) for name, term in TERMS.items() if term.of != PAIRS},
    "accuracy": ("Accuracy", "percent", "a right one among all candidates scores highest, per view"),
    **{name: (term.title, "number", term.note) for name, term in TERMS.items() if term.of == PAIRS},
    "loss": ("Total loss", "number", "weighted sum of all terms"),
    "learning_rate": ("Learning rate", "log", "after each epoch, logarithmic"),
    "linear": ("Probe: linear", "percent", "ridge classifier, tested on other training videos"),
    "knn": ("Probe: nearest neighbours", "percent", "vote of 5, tested on other training videos"),
    "group_knn": (
        "Probe: nearest neighbours of other groups",
        "percent",
        "vote of 5 among labelled training videos; the mean of the views chooses the epoch",
    ),
    "neighbours": ("Probe: same class among the 5 nearest", "percent", "share of the videos of other groups"),
    "cosine_same": (
        "Probe: cosines, same class",
        "number",
        "mean over pairs; all near 1 in a view: collapsed",
    ),
    "cosine_other": ("Probe: cosines, other classes", "number", "mean over pairs of different classes"),
}


@dataclass(frozen=True)
class Panel:
    """One chart with its caption."""

    title: str
    note: str
    chart: Markup


@dataclass(frozen=True)
class RunCurves:
    """The charts of one log (or, for stage 1, of one log per view)."""

    name: str
    epochs: int
    panels: list[Panel]
    first: bool
    dashed: bool


@dataclass
class CurvesSection(PageSection):
    """Stage 1, then every pretraining of stage 2."""

    runs: list[RunCurves] = field(default_factory=list)


@dataclass
class LossLog:
    """What ``cocon.training.log`` wrote: ``terms[term][(name, validation)]`` is a list of (epoch, value)."""

    terms: defaultdict[str, defaultdict[tuple[str, bool], list[tuple[float, float]]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )

    def read(self, path: Path, view: str = "") -> None:
        """Add the lines of a log; ``view`` names lines that do not name their view themselves."""
        for number, line in enumerate(read_lines(path), start=1):
            epoch = _number(line.get("epoch", number))
            if not math.isfinite(epoch):
                continue
            for key, value in line.items():
                validation = key.startswith("validation/")
                term, _, name = key.removeprefix("validation/").partition("/")
                if term in _TITLES and isinstance(value, int | float):
                    self.terms[term][name or view, validation].append((epoch, _number(value)))


def _number(value: object) -> float:
    """A number of a log; NaN if it is none, or too large for a chart."""
    if not isinstance(value, int | float) or not abs(value) < HUGE:
        return math.nan
    return float(value)


def section(inputs: Inputs) -> CurvesSection:
    """Find the logs of stage 1 and stage 2 and draw them."""
    page = CurvesSection("curves", "Curves of training", "Curves")
    folder = inputs.pretrained
    stage1 = LossLog()
    for path in sorted((folder / "stage1").glob("*.log.jsonl")):
        try:
            stage1.read(path, view=path.name.removesuffix(".log.jsonl"))
        except OSError as error:
            page.missing.append(f"The log {path} cannot be read ({reason(error)}).")
    stage1.terms.pop("loss", None)  # a single term: the same as L_cpc
    if stage1.terms:
        page.runs.append(_run(inputs, "Stage 1: every view alone", stage1, first=True))
    else:
        page.missing.append(f"There is no stage-1 log ({folder / 'stage1'}/<view>.log.jsonl).")
    logs = {path.parent.name: path for path in folder.glob("*/log.jsonl")}
    if not logs:
        page.missing.append(f"There is no stage-2 log ({folder}/<pretraining>/log.jsonl).")
    names = order_pretrainings(set(logs))
    for name in sorted(names, key=lambda name: name != inputs.pretraining):
        log = LossLog()
        try:
            log.read(logs[name])
        except OSError as error:
            page.missing.append(f"The log {logs[name]} cannot be read ({reason(error)}).")
            continue
        if log.terms:
            shown = name == inputs.pretraining or len(names) == 1
            page.runs.append(_run(inputs, f"Stage 2: all views together, {name}", log, first=shown))
        else:
            page.missing.append(f"The log {logs[name]} has no epoch yet.")
    return page


def _run(inputs: Inputs, name: str, log: LossLog, *, first: bool) -> RunCurves:
    panels, epochs, dashed = [], 0, False
    for term, (title, scale, note) in _TITLES.items():
        lines = _lines(log.terms.get(term, {}), inputs.views)
        if not any(has_points(line, scale) for line in lines):
            continue
        panels.append(Panel(title, note, line_chart(lines, scale=scale)))
        epochs = max(epochs, *(int(x) for line in lines for x in line.x if math.isfinite(x)))
        dashed = dashed or any(line.dashed for line in lines)
    return RunCurves(name, epochs, panels, first, dashed)


def _lines(
    term: Mapping[tuple[str, bool], list[tuple[float, float]]], views: tuple[str, ...]
) -> list[Series]:
    """One line per view or pair; a single neutral one when all are the same, as learning rates are."""
    if len(term) > 1 and all(points == next(iter(term.values())) for points in term.values()):
        term = {("", False): next(iter(term.values()))}
    return [
        Series(
            label.replace("-", "\N{EN DASH}"), [x for x, _ in points], [y for _, y in points],
            styles(label, views), validation,
        )
        for (label, validation), points in _ordered(term, views)
    ]  # fmt: skip


def _ordered(
    term: Mapping[tuple[str, bool], list[tuple[float, float]]], views: tuple[str, ...]
) -> list[tuple[tuple[str, bool], list[tuple[float, float]]]]:
    places = {view: place for place, view in enumerate(views)}
    return sorted(
        term.items(),
        key=lambda item: ([places.get(view, len(places)) for view in item[0][0].split("-")], item[0]),
    )


def styles(label: str, views: tuple[str, ...]) -> tuple[str, ...]:
    """Classes that colour a line: that of its view, those of both views of a pair, or neutral ink."""
    named = [view for view in label.split("-") if view in views]
    return tuple(f"view-{view}" for view in named) or ("view-all",)
