"""Accuracies of the representations, with chance, random initialisation and intervals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import mean, stdev
from typing import Any

from markupsafe import Markup

from cocon.datasets.manifest import in_order
from cocon.evaluation.metrics import is_rank
from cocon.evaluation.published import SOURCES, Published, published
from cocon.evaluation.summary import listed_splits, seen_sentence
from cocon.pretrainings import PRETRAININGS, RANDOM
from cocon.protocols import PROTOCOLS
from cocon.report.inputs import ENSEMBLE, Inputs, PageSection, order_pretrainings
from cocon.report.interval_plot import Dot, interval_plot
from cocon.report.marks import MARKERS, mark_of


@dataclass(frozen=True)
class AccuracyCell:
    """One accuracy: mean over splits and seeds, with the half-width of its 95 % interval.

    ``sd`` is the standard deviation over the splits, of a sample; None for one split.
    """

    value: float
    half_width: float
    n: int
    coverage: float
    chance: float
    splits: tuple[str, ...]
    sd: float | None = None
    recall: tuple[tuple[int, float], ...] = ()

    @property
    def low(self) -> float:
        """Lower end of the interval."""
        return max(0.0, self.value - self.half_width)

    @property
    def high(self) -> float:
        """Upper end of the interval."""
        return min(1.0, self.value + self.half_width)


@dataclass(frozen=True)
class ProtocolTable:
    """Accuracies of one protocol: ``cells[pretraining][view]``, and the best pretraining of each view."""

    protocol: str
    title: str
    pretrainings: list[str]
    views: list[str]
    cells: dict[str, dict[str, AccuracyCell]]
    best: dict[str, str]
    chance: float
    plot: Markup

    def measured(self, pretraining: str) -> tuple[int, int]:
        """Fewest and most test videos that a row's cells rest on."""
        counts = [cell.n for cell in self.cells[pretraining].values()]
        return min(counts), max(counts)

    def coverage(self, pretraining: str) -> float:
        """The smallest coverage in a row."""
        return min(cell.coverage for cell in self.cells[pretraining].values())


@dataclass(frozen=True)
class KeyFigure:
    """A number in large type with what it means."""

    label: str
    cell: AccuracyCell
    note: str


@dataclass
class HeadlineSection(PageSection):
    """Tables, the figures above them, and the rows they were made from."""

    figures: list[KeyFigure] = field(default_factory=list)
    tables: list[ProtocolTable] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    ranks: list[str] = field(default_factory=list)
    legend: list[tuple[str, str, str, str]] = field(default_factory=list)
    splits: str = ""
    several: bool = False
    seen: str = ""
    published: list[tuple[str, Published]] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)


def section(inputs: Inputs) -> HeadlineSection:
    """Make the section from the rows of ``summary.json``."""
    page = HeadlineSection("headline", "Accuracy", "Accuracy")
    if "summary" in inputs.missing:
        page.missing.append(inputs.missing["summary"])
    if not inputs.rows:
        return page
    protocols = {row["protocol"] for row in inputs.rows}
    order = [name for name in PROTOCOLS if name in protocols] + sorted(protocols - set(PROTOCOLS))
    page.tables = [_table(inputs, protocol) for protocol in order]
    page.figures = _figures(inputs, page.tables)
    page.rows = inputs.rows
    page.ranks = sorted(
        {key for row in inputs.rows for key in row if is_rank(key)}, key=lambda key: int(key[1:])
    )
    splits = in_order({str(row.get("split", "")) for row in inputs.rows} - {""})
    page.splits, page.several = listed_splits(splits), len(splits) > 1
    page.seen = seen_sentence(inputs.seen)
    names = order_pretrainings({row["pretraining"] for row in inputs.rows})
    page.legend = [(name, *mark_of(name), _title(name)) for name in names]
    page.published = [
        (PROTOCOLS[protocol].title, figure)
        for protocol in order
        if protocol in PROTOCOLS
        for figure in published(inputs.settings.kind, protocol)
    ]
    page.sources = [SOURCES[key] for key in dict.fromkeys(figure.source for _, figure in page.published)]
    return page


def _title(name: str) -> str:
    """Description of a pretraining; empty if it is unknown in this version."""
    known = PRETRAININGS.get(name)
    return f"{known.title}: {known.description}" if known else ""


def mean_cell(rows: list[dict[str, Any]]) -> AccuracyCell:
    """Mean over splits and seeds; the intervals are combined as if these were independent."""
    widths = [(row["ci95"][1] - row["ci95"][0]) / 2 for row in rows if row.get("ci95")]
    ranks = sorted({int(key[1:]) for row in rows for key in row if is_rank(key)})
    recall = [(k, [row[f"r{k}"] for row in rows if f"r{k}" in row]) for k in ranks]
    return AccuracyCell(
        value=sum(row["top1"] for row in rows) / len(rows),
        half_width=sum(width**2 for width in widths) ** 0.5 / max(1, len(widths)),
        n=sum(int(row.get("n", 0)) for row in rows),
        coverage=sum(row.get("coverage", 1.0) for row in rows) / len(rows),
        chance=sum(row.get("chance", 0.0) for row in rows) / len(rows),
        splits=tuple(in_order({str(row.get("split", "")) for row in rows})),
        sd=_sd_over_splits(rows),
        recall=tuple((k, sum(values) / len(values)) for k, values in recall),
    )


def _sd_over_splits(rows: list[dict[str, Any]]) -> float | None:
    by_split: defaultdict[str, list[float]] = defaultdict(list)
    for row in rows:
        by_split[str(row.get("split", ""))].append(row["top1"])
    return stdev(map(mean, by_split.values())) if len(by_split) > 1 else None


def _table(inputs: Inputs, protocol: str) -> ProtocolTable:
    groups: defaultdict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in inputs.rows:
        if row["protocol"] == protocol:
            groups[row["pretraining"], row["view"]].append(row)
    pretrainings = order_pretrainings({name for name, _ in groups})
    present = {view for _, view in groups}
    views = [view for view in inputs.views_and_ensemble if view in present]
    views += sorted(present - set(views))
    cells = {
        name: {view: mean_cell(groups[name, view]) for view in views if (name, view) in groups}
        for name in pretrainings
    }
    best = {
        view: max((name for name in pretrainings if view in cells[name]), key=lambda n: cells[n][view].value)
        for view in views
    }
    flat = [cell for row in cells.values() for cell in row.values()]
    chance = sum(cell.chance for cell in flat) / len(flat)
    title = PROTOCOLS[protocol].title if protocol in PROTOCOLS else protocol
    return ProtocolTable(
        protocol, title, pretrainings, views, cells, best, chance,
        _plot(pretrainings, views, cells, chance),
    )  # fmt: skip


def _plot(
    pretrainings: Iterable[str], views: list[str], cells: dict[str, dict[str, AccuracyCell]], chance: float
) -> Markup:
    dots = [
        Dot(view, f"{name}, {view}", mark_of(name)[0], cell.value, cell.low, cell.high)
        for name in pretrainings
        for view, cell in cells[name].items()
    ]
    return interval_plot(dots, views, MARKERS, chance)


def _figures(inputs: Inputs, tables: list[ProtocolTable]) -> list[KeyFigure]:
    """The best ensemble (or view), rgb alone, and retrieval; each against random initialisation."""
    figures = []
    wanted = [("linear", ENSEMBLE), ("linear", "rgb"), ("finetune", ENSEMBLE), ("retrieval", ENSEMBLE)]
    by_name = {table.protocol: table for table in tables}
    for protocol, view in wanted:
        table = by_name.get(protocol)
        if table is None:
            continue
        cells = table.cells.get(inputs.pretraining, {})
        if view not in cells:
            continue
        name = "all views together" if view == ENSEMBLE else f"{view} alone"
        title = f"{table.title}, {name}"
        figures.append(KeyFigure(title, cells[view], _against(table, inputs.pretraining, view)))
    if not figures:
        table = tables[0]
        name, view, cell = max(
            ((name, view, cell) for name, row in table.cells.items() for view, cell in row.items()),
            key=lambda entry: entry[2].value,
        )
        figures.append(KeyFigure(f"{table.title}, {view}, {name}", cell, _against(table, name, view)))
    return figures


def _against(table: ProtocolTable, pretraining: str, view: str) -> str:
    note = f"chance {100 * table.chance:.3g} %"
    untrained = table.cells.get(RANDOM, {}).get(view)
    if untrained and pretraining != RANDOM:
        note = f"random initialisation {100 * untrained.value:.1f} %, {note}"
    return note
