"""Several pretrainings, each over several seeds, in one table: mean and standard deviation.

Source: the ablation of Rai et al. 2021, arXiv 2104.14764, with the number of classes on whose nearest
classes the views agree (see :mod:`cocon.evaluation.relations`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from cocon.errors import DatasetError
from cocon.evaluation import PROTOCOLS
from cocon.evaluation.relations import read_relations
from cocon.evaluation.summary import aligned, position, rank, read_results, result_of
from cocon.files import write_csv, write_json
from cocon.loading import as_type, read_object, reading

AGREEMENT = "agreeing classes"


@dataclass(frozen=True)
class Cell:
    """One figure over all seeds.

    Attributes:
        measure: a protocol, whose figures are accuracies in [0, 1]; or :data:`AGREEMENT`, numbers of classes.
        pretraining: what the encoders were trained with.
        view: a view or the ensemble.
        mean: mean over the seeds.
        sd: standard deviation of a sample; None of a single seed.
        chance: the figure that guessing has.
        seeds: the seeds.
    """

    measure: str
    pretraining: str
    view: str
    mean: float
    sd: float | None
    chance: float
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Ablation:
    """The table and what it is made from: rows of ``summary.json`` and of ``cocon relations``."""

    cells: list[Cell]
    rows: list[dict[str, Any]]
    relations: list[dict[str, Any]]


def gather(metrics: Iterable[Path], relations: Iterable[Path]) -> Ablation:
    """Read the files of all pretrainings and seeds.

    Raises:
        DatasetError: if a file cannot be used, or pretrainings were repeated with different seeds.
    """
    results = read_results(metrics)
    figures: dict[tuple[str, str, str], list[tuple[int, float, float]]] = defaultdict(list)
    for result in sorted(results, key=position):
        task = result.task
        figures[task.protocol, task.pretraining, task.view].append((task.seed, result.top1, result.chance))
    found = sorted(
        (read_relations(path) for path in relations),
        key=lambda row: (*rank("pretraining", row["pretraining"]), row["seed"]),
    )
    for row in found:
        values = row["seed"], row["agreeing"], row["chance"]
        figures[AGREEMENT, row["pretraining"], "all"].append(values)
    cells = [_cell(*key, values) for key, values in figures.items()]
    for cell in cells:
        if cell.seeds != cells[0].seeds:
            raise DatasetError(
                f"{cell.pretraining}/{cell.view}, {cell.measure} has the seeds {cell.seeds}, "
                f"{cells[0].pretraining}/{cells[0].view}, {cells[0].measure} has {cells[0].seeds}",
                "means over different seeds cannot be compared: give files of the same seeds",
            )
    return Ablation(cells, [result.row() for result in results], found)


def _cell(measure: str, pretraining: str, view: str, values: Sequence[tuple[int, float, float]]) -> Cell:
    seeds, figures, chances = zip(*sorted(values), strict=True)
    deviation = stdev(figures) if len(figures) > 1 else None
    return Cell(measure, pretraining, view, mean(figures), deviation, mean(chances), seeds)


def write_ablation(ablation: Ablation, output: Path, csv: Path) -> None:
    """Write everything to ``output``, and the cells as a table to ``csv``."""
    cells = [asdict(cell) for cell in ablation.cells]
    flat = [{**cell, "seeds": " ".join(map(str, cell["seeds"]))} for cell in cells]
    write_csv(csv, flat, list(Cell.__dataclass_fields__))
    write_json(output, {"cells": cells, "rows": ablation.rows, "relations": ablation.relations})


def read_ablation(path: Path) -> Ablation:
    """Read what :func:`write_ablation` wrote.

    Raises:
        DatasetError: if the file is missing or something else.
    """
    give = "give a .json of `cocon ablation`"
    with reading(path, "file of an ablation", DatasetError, missing=give, damaged=give):
        ablation = as_type(Ablation, read_object(path))
        if not ablation.cells or not all(cell.seeds for cell in ablation.cells):
            raise ValueError("it is empty")
        for row in ablation.rows:
            result_of(path, row)
        return ablation


def format_ablation(ablation: Ablation) -> str:
    """One aligned table per protocol: a row per pretraining, a column per view, per cent ± sd.

    The last column is the number of classes on whose nearest classes all views agree.
    """
    agreement = {cell.pretraining: cell for cell in ablation.cells if cell.measure == AGREEMENT}
    measures = dict.fromkeys(cell.measure for cell in ablation.cells if cell.measure != AGREEMENT)
    return "\n\n".join(
        _format(measure, [cell for cell in ablation.cells if cell.measure == measure], agreement)
        for measure in measures
    )


def _format(measure: str, cells: list[Cell], agreement: dict[str, Cell]) -> str:
    views = sorted({cell.view for cell in cells}, key=lambda view: rank("view", view))
    heading = ["pretraining", *views, *(["classes agreeing"] if agreement else [])]
    table = [heading]
    for pretraining in dict.fromkeys(cell.pretraining for cell in cells):
        by_view = {cell.view: cell for cell in cells if cell.pretraining == pretraining}
        row = [pretraining, *(_text(by_view.get(view), 100) for view in views)]
        table.append(row + ([_text(agreement.get(pretraining), 1)] if agreement else []))
    chance = [f"{100 * cells[0].chance:.1f}      "] * len(views)
    expected = next(iter(agreement.values())).chance if agreement else 0.0
    table.append(["chance", *chance, *([f"{expected:.1f}      "] if agreement else [])])
    seeds = cells[0].seeds
    title = PROTOCOLS[measure].title if measure in PROTOCOLS else measure
    return f"{title}, % (mean ± standard deviation of {len(seeds)} seeds)\n" + aligned(table)


def _text(cell: Cell | None, scale: float) -> str:
    if cell is None:
        return "-      "
    deviation = "" if cell.sd is None else f" ±{scale * cell.sd:.1f}"
    return f"{scale * cell.mean:.1f}{deviation:<6}"
