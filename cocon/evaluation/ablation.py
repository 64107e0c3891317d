"""Ablation: several pretrainings over several seeds and splits in one table, with paired comparisons.

Source: the ablation of Rai et al. 2021, arXiv 2104.14764, with the number of classes on whose nearest
classes the views agree (see :mod:`cocon.evaluation.relations`).
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from cocon.datasets.manifest import in_order
from cocon.errors import DatasetError
from cocon.evaluation.frame_size import FrameSize
from cocon.evaluation.metrics import Result
from cocon.evaluation.neighbours import read_likeness
from cocon.evaluation.paired import Hits, PairedDifference, accuracy_interval, compare, hits_of
from cocon.evaluation.relations import read_relations
from cocon.evaluation.score_file import hits_in, read_scores
from cocon.evaluation.summary import position, rank, read_document, read_results, result_of
from cocon.files import write_csv, write_json
from cocon.loading import as_type, read_object, reading

log = logging.getLogger(__name__)

AGREEMENT = "agreeing classes"
NEAR = "same class among the nearest"
COSINE = "cosine of one class"
REFERENCES = ("random", "cmc")
"""The reference pretrainings; every other one is compared with those present."""

_Key = tuple[str, str, str]
_FLAT = ("difference", "low", "high", "p", "clear")


@dataclass(frozen=True)
class AblationCell:
    """One figure over all seeds and splits.

    Attributes:
        measure: a protocol, whose figures are accuracies in [0, 1]; :data:`AGREEMENT`, numbers of classes;
            :data:`NEAR`, shares; or :data:`COSINE`.
        pretraining: what the encoders were trained with.
        view: a view or the ensemble.
        mean: mean over the seeds of the mean over the splits.
        sd: standard deviation over the seeds, of a sample; None of a single seed.
        chance: the figure of guessing; for a cosine, that of videos of different classes.
        seeds: the seeds.
        splits: the splits.
        sd_splits: standard deviation over the splits of the means over the seeds; None of a single split.
        n: tested videos, of all splits together.
        interval: 95 % interval over the test videos, see :func:`cocon.evaluation.paired.accuracy_interval`.
        comparisons: with other pretrainings on the same test videos.
    """

    measure: str
    pretraining: str
    view: str
    mean: float
    sd: float | None
    chance: float
    seeds: tuple[int, ...]
    splits: tuple[str, ...] = ("1",)
    sd_splits: float | None = None
    n: int = 0
    interval: tuple[float, float] | None = None
    comparisons: tuple[PairedDifference, ...] = ()


@dataclass(frozen=True)
class AblationResult:
    """The table and what it is made from: rows of ``summary.json`` and of ``cocon relations``."""

    cells: list[AblationCell]
    rows: list[dict[str, Any]]
    relations: list[dict[str, Any]]
    frame_sizes: list[FrameSize] = field(default_factory=list)
    seen: dict[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Value:
    """A figure of one seed and split."""

    seed: int
    split: str
    figure: float
    chance: float
    n: int = 0


def gather(
    metrics: Iterable[Path],
    relations: Iterable[Path],
    neighbours: Iterable[Path] = (),
    frame_sizes: Sequence[FrameSize] = (),
    groups: Mapping[str, str] | None = None,
    seen: Mapping[str, tuple[int, int]] | None = None,
) -> AblationResult:
    """Read the files of all pretrainings, seeds and splits, and compare the pretrainings.

    Args:
        metrics: rows of ``summary.json``, with the scores next to them.
        relations: what ``cocon relations`` wrote.
        neighbours: what ``cocon neighbours`` wrote.
        frame_sizes: one per split.
        groups: group of each test video; None: every video is its own group.
        seen: how many test videos the encoders were pretrained on, and of how many, by split.

    Raises:
        DatasetError: if a file cannot be used, or pretrainings were repeated with different seeds or splits.
    """
    paths = list(metrics)
    results = read_results(paths)
    figures: dict[_Key, list[_Value]] = defaultdict(list)
    for result in sorted(results, key=position):
        task = result.task
        figures[task.protocol, task.pretraining, task.view].append(
            _Value(task.seed, task.split, result.top1, result.chance, result.n)
        )
    found = sorted(
        (read_relations(path) for path in relations),
        key=lambda row: (*rank("pretraining", row["pretraining"]), row["seed"]),
    )
    for row in found:
        value = _Value(row["seed"], str(row.get("split", "1")), row["agreeing"], row["chance"])
        figures[AGREEMENT, row["pretraining"], "all"].append(value)
    cells = [_cell(*key, values) for key, values in figures.items()]
    for cell in cells:
        _check_repetitions(cell, cells[0])
    cells = _compared(cells, _all_hits(results, paths), groups or {})
    cells += _of_neighbours(neighbours)
    rows = [result.row() for result in results]
    return AblationResult(cells, rows, found, list(frame_sizes), dict(seen or {}))


def _cell(measure: str, pretraining: str, view: str, values: Sequence[_Value]) -> AblationCell:
    by_seed: dict[int, list[_Value]] = defaultdict(list)
    by_split: dict[str, list[_Value]] = defaultdict(list)
    for value in values:
        by_seed[value.seed].append(value)
        by_split[value.split].append(value)
    figures = [mean(v.figure for v in by_seed[seed]) for seed in sorted(by_seed)]
    splits = tuple(in_order(by_split))
    of_splits = [mean(v.figure for v in by_split[split]) for split in splits]
    if len(values) != len(figures) * len(splits):
        raise DatasetError(
            f"{pretraining}/{view}, {measure} has no results for a split of some seed",
            "give the files of all splits with every seed",
        )
    return AblationCell(
        measure,
        pretraining,
        view,
        mean(figures),
        stdev(figures) if len(figures) > 1 else None,
        mean(value.chance for value in values),
        tuple(sorted(by_seed)),
        splits,
        stdev(of_splits) if len(of_splits) > 1 else None,
        sum(value.n for value in by_seed[min(by_seed)]),
    )


def _check_repetitions(cell: AblationCell, first: AblationCell) -> None:
    """All figures of a table are means over the same."""
    for what, mine, others in (("seeds", cell.seeds, first.seeds), ("splits", cell.splits, first.splits)):
        if mine != others:
            raise DatasetError(
                f"{cell.pretraining}/{cell.view}, {cell.measure} has the {what} {mine}, "
                f"{first.pretraining}/{first.view}, {first.measure} has {others}",
                f"means over different {what} cannot be compared: give files of the same {what}",
            )


def _all_hits(results: Sequence[Result], paths: Sequence[Path]) -> dict[_Key, Hits]:
    """The hits of every encoder; nothing where the scores of some are not there."""
    files = {result_of(path, read_document(path)).task: path.with_suffix(".npz") for path in paths}
    if lacking := [path for path in files.values() if not path.exists()]:
        log.warning("there are no scores %s: pairwise comparisons are left out", lacking[0])
        return {}
    found: dict[_Key, dict[tuple[int, str], Any]] = defaultdict(dict)
    for result in results:
        task = result.task
        scores = read_scores(files[task])
        tested = [str(video) for video in scores["ids"]], hits_in(scores)
        found[task.protocol, task.pretraining, task.view][task.seed, task.split] = tested
    return {key: hits_of(repetitions) for key, repetitions in found.items()}


def _compared(
    cells: Sequence[AblationCell], hits: Mapping[_Key, Hits], groups: Mapping[str, str]
) -> list[AblationCell]:
    """The cells with their intervals and comparisons."""
    done = []
    for cell in cells:
        mine = hits.get((cell.measure, cell.pretraining, cell.view))
        if mine is not None:
            others = {
                reference: hits[cell.measure, reference, cell.view]
                for reference in REFERENCES
                if reference != cell.pretraining and (cell.measure, reference, cell.view) in hits
            }
            seed = cell.seeds[0]
            cell = replace(
                cell,
                interval=accuracy_interval(mine, groups, seed),
                comparisons=tuple(compare(name, mine, other, groups, seed) for name, other in others.items()),
            )
        done.append(cell)
    return done


def _of_neighbours(paths: Iterable[Path]) -> list[AblationCell]:
    """Cells of what ``cocon neighbours`` found; a split without a result is left out."""
    figures: dict[_Key, list[_Value]] = defaultdict(list)
    for path in paths:
        document, found = read_likeness(path)
        for view, likeness in found.items():
            for measure, figure, chance in (
                (NEAR, likeness.share, likeness.chance),
                (COSINE, likeness.same, likeness.other),
            ):
                if figure is not None and chance is not None:
                    where = document["seed"], document["split"]
                    figures[measure, document["pretraining"], view].append(
                        _Value(*where, figure, chance, likeness.n)
                    )
    order = sorted(
        figures, key=lambda key: (key[0] == COSINE, rank("pretraining", key[1]), rank("view", key[2]))
    )
    return [_cell(*key, figures[key]) for key in order]


def write_ablation(ablation: AblationResult, output: Path, csv: Path) -> None:
    """Write everything to ``output``, and the cells as a table to ``csv``."""
    columns = [name for name in AblationCell.__dataclass_fields__ if name not in ("interval", "comparisons")]
    flat = [_flat(cell) for cell in ablation.cells]
    compared = [f"{name}_{key}" for name in REFERENCES for key in _FLAT]
    used = [column for column in compared if any(column in row for row in flat)]
    write_csv(csv, flat, [*columns, "ci95_low", "ci95_high", *used])
    write_json(output, asdict(ablation))


def _flat(cell: AblationCell) -> dict[str, Any]:
    """A cell as a row of a table; ``random_difference`` is that to random, and so on."""
    row = asdict(cell)
    row["seeds"], row["splits"] = " ".join(map(str, cell.seeds)), " ".join(cell.splits)
    del row["comparisons"]
    low, high = row.pop("interval") or ("", "")
    found = {
        f"{one.reference}_{key}": int(one.clear) if key == "clear" else getattr(one, key)
        for one in cell.comparisons
        for key in _FLAT
    }
    return row | {"ci95_low": low, "ci95_high": high} | found


def read_ablation(path: Path) -> AblationResult:
    """Read what :func:`write_ablation` wrote.

    Raises:
        DatasetError: if the file is missing or of another kind.
    """
    give = "give a .json of `cocon ablation`"
    with reading(path, "file of an ablation", DatasetError, missing=give, damaged=give):
        ablation = as_type(AblationResult, read_object(path))
        if not ablation.cells or not all(cell.seeds for cell in ablation.cells):
            raise ValueError("it is empty")
        for row in ablation.rows:
            result_of(path, row)
        return ablation
