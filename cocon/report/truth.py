"""Errors of the extracted views against ground truth, if it is known (the embedded demo)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cocon.errors import DatasetError
from cocon.loading import number, read_object, reading
from cocon.report.inputs import UNREADABLE, Inputs, PageSection, reason

#: what ``view-extractors score`` measured on the shards of this run
SCORES = "scores.json"
#: what ``view-extractors compare`` measured of every installed backend
BACKENDS = "backends.json"
THIS_RUN = "this run"
_MEASURES = {
    "flow": {
        "end-point error": "end-point error, px",
        "end-point error on the person": "on the person, px",
    },
    "mask": {"IoU": "IoU"},
    "pose": {"detection rate": "detection rate", "PCK@0.2": "PCK@0.2"},
}
_MEASURES_OF_SEVERAL = {
    "mask": {
        "IoU": "IoU",
        "persons covered": "persons covered",
        "persons covered, the smaller": "the smaller",
    },
    "pose": {
        "persons found": "persons found",
        "persons found, the smaller": "the smaller",
        "false persons per frame": "false per frame",
        "PCK@0.2": "PCK@0.2",
    },
}


@dataclass(frozen=True)
class Row:
    """One backend, or this run; ``cost`` is CPU milliseconds per frame, None where it was not measured."""

    name: str
    values: tuple[float, ...]
    cost: float | None = None


@dataclass
class BackendTable:
    """One view: the measure, the figures of each backend, and the backends that did not run."""

    view: str
    columns: tuple[str, ...]
    rows: list[Row] = field(default_factory=list)
    absent: list[tuple[str, str]] = field(default_factory=list)

    @property
    def timed(self) -> bool:
        """Whether the cost of any row is known."""
        return any(row.cost is not None for row in self.rows)


@dataclass
class TruthSection(PageSection):
    """A table per view."""

    tables: list[BackendTable] = field(default_factory=list)


def section(inputs: Inputs) -> TruthSection | None:
    """Read the two files of figures; None where neither exists, as for every data set but the demo."""
    page = TruthSection("truth", "Views against the truth", "Truth")
    found: dict[str, Any] = {}
    for name in (SCORES, BACKENDS):
        path = inputs.results / name
        if path.exists():
            try:
                with reading(path, "file of figures", DatasetError, missing="", damaged=""):
                    found[name] = read_object(path)
            except UNREADABLE as error:
                page.missing.append(f"The figures {path} cannot be read ({reason(error)}).")
    if not found and not page.missing:
        return None
    for view in inputs.views:
        try:
            backends = found.get(BACKENDS, {}).get("backends", [])
            table, several = _table(view, found.get(SCORES, {}), backends), _of_several(view, backends)
        except UNREADABLE as error:
            page.missing.append(f"The figures of {view} cannot be shown ({reason(error)}).")
            continue
        page.tables += [one for one in (table, several) if one.rows or one.absent]
    return page


def _table(view: str, scores: Mapping[str, Any], backends: list[dict[str, Any]]) -> BackendTable:
    measures = _MEASURES.get(view, {})
    table = BackendTable(view, tuple(measures.values()))
    if view in scores and measures:
        figures = scores[view]
        table.rows.append(Row(THIS_RUN, tuple(number(figures[key]) for key in measures)))
        if view == "flow":
            still = tuple(number(figures[f"{key}, still"]) for key in measures)
            table.rows.insert(0, Row("no flow at all", still))
    for entry in backends:
        if entry["view"] == view and entry["absent"]:
            table.absent.append((str(entry["backend"]), str(entry["absent"])))
        elif entry["view"] == view:
            values = tuple(number(entry["figures"][key]) for key in measures)
            cost = None if entry["ms_per_frame"] is None else number(entry["ms_per_frame"])
            table.rows.append(Row(str(entry["backend"]), values, cost))
    return table


def _of_several(view: str, backends: list[dict[str, Any]]) -> BackendTable:
    """The backends on videos with several persons in a frame, where they were compared on such."""
    measures = _MEASURES_OF_SEVERAL.get(view, {})
    table = BackendTable(f"{view}, two persons in a frame", tuple(measures.values()))
    for entry in backends:
        if entry["view"] == view and measures and (figures := entry.get("several")):
            table.rows.append(Row(str(entry["backend"]), tuple(number(figures[key]) for key in measures)))
    return table
