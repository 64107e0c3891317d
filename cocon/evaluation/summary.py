"""Gathers rows of metrics into one summary, as JSON, CSV and a table to read in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from cocon.datasets.manifest import in_order
from cocon.errors import DatasetError
from cocon.evaluation.ensemble import VIEW
from cocon.evaluation.metrics import Result, Task
from cocon.files import write_csv, write_json
from cocon.loading import as_type, read_object, reading
from cocon.pretrainings import PRETRAININGS
from cocon.protocols import PROTOCOLS
from cocon.views import VIEWS

_OURS = "pass a .json file that CoCon wrote; if it is one, delete it and run the evaluation again"
_IDENTITY = ["dataset", "pretraining", "view", "protocol", "split"]
_FIGURES = ["top1", "ci95_low", "ci95_high", "coverage", "n", "chance", "seed"]
_ORDERS = {
    "protocol": list(PROTOCOLS),
    "pretraining": list(PRETRAININGS),
    "view": [*VIEWS, VIEW],
}


def read_results(paths: Iterable[Path]) -> list[Result]:
    """Read files of one row each, and order them: protocol, pretraining, view, split, seed.

    Raises:
        DatasetError: A file is missing or no row of metrics, or two files contain the same row.
    """
    sources: dict[object, Path] = {}
    results = []
    for path in paths:
        result = result_of(path, read_document(path))
        if result.task in sources:
            raise DatasetError(
                f"{sources[result.task]} and {path} contain the same row ({result.task})", "pass one of them"
            )
        sources[result.task] = path
        results.append(result)
    return sorted(results, key=position)


def write_summary(
    results: Sequence[Result], output: Path, csv: Path, more: Mapping[str, object] | None = None
) -> None:
    """Write ``{"rows": [...], "means": [...]}`` to ``output``, and the rows as a table to ``csv``.

    Args:
        results: The rows.
        output: The ``.json`` file; ``means`` are those of :func:`means_over_splits`.
        csv: The ``.csv`` file.
        more: Further entries of the document.
    """
    rows = [result.row() for result in results]
    ranks = sorted({f"r{k}" for result in results for k in result.recall}, key=lambda name: int(name[1:]))
    flat = [{**row, "ci95_low": row["ci95"][0], "ci95_high": row["ci95"][1]} for row in rows]
    write_csv(csv, flat, [*_IDENTITY, *_FIGURES, *ranks])
    write_json(output, {"rows": rows, "means": means_over_splits(results), **(more or {})})


def means_over_splits(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Mean and standard deviation over the splits, for each encoder, view, protocol and seed.

    ``sd`` is that of a sample (divided by one less than the number of splits), and null for one split.
    ``coverage`` is the smallest one.
    """
    groups: dict[Task, list[Result]] = {}
    for result in results:
        groups.setdefault(replace(result.task, split=""), []).append(result)
    return [
        {
            **{key: getattr(task, key) for key in ("dataset", "pretraining", "view", "protocol", "seed")},
            "splits": [result.task.split for result in members],
            "top1": mean(result.top1 for result in members),
            "sd": stdev(result.top1 for result in members) if len(members) > 1 else None,
            "coverage": min(result.coverage for result in members),
            "n": sum(result.n for result in members),
        }
        for task, members in groups.items()
    ]


def seen_sentence(seen: Mapping[str, Sequence[int]]) -> str:
    """A note on encoders that were pretrained on test videos; empty if they were not.

    Args:
        seen: how many test videos the encoders were pretrained on, and of how many, by split.
    """
    if not seen:
        return ""
    splits = {split: seen[split] for split in in_order(seen)}
    whole = [split for split, (count, total) in splits.items() if count == total]
    parts = [f"all of split{'s' * (len(whole) > 1)} {listed_splits(whole)}"] if whole else []
    parts += [
        f"{count:,} of {total:,} of split {split}"
        for split, (count, total) in splits.items()
        if count < total
    ]
    return f"Pretraining has seen test videos, without their labels: {', '.join(parts)}."


def read_seen(path: Path) -> dict[str, tuple[int, int]]:
    """The test videos that the encoders of a summary have seen; none if the summary does not record them.

    Raises:
        DatasetError: The file is missing or no summary.
    """
    with reading(path, "summary", DatasetError, missing="run the evaluation first", damaged=_OURS):
        found = as_type(dict[str, tuple[int, int]], read_object(path).get("seen") or {})
    return found


def read_summary(path: Path) -> list[Result]:
    """Read what `write_summary` wrote.

    Raises:
        DatasetError: The file is missing or no summary.
    """
    rows = read_document(path).get("rows")
    if not isinstance(rows, list):
        raise DatasetError(f"{path} is not a summary", "pass the .json file written by `cocon summary`")
    return [result_of(path, row) for row in rows]


def result_of(path: Path, row: Mapping[str, Any]) -> Result:
    """A row that was read from a file.

    Raises:
        DatasetError: The mapping is not a row of metrics; the message names the file.
    """
    try:
        return Result.from_row(row)
    except DatasetError as error:
        raise DatasetError(f"{path}: {error.message}", error.hint) from error


def format_tables(results: Sequence[Result]) -> str:
    """One aligned table per data set and protocol: a row per pretraining, a column per view, per cent.

    A cell of one result has half the width of its 95 % interval behind it; a cell of several is their mean,
    with their standard deviation. ``cover`` is the coverage of the row, from the smallest to the largest.
    """
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in sorted(results, key=position):
        groups.setdefault((result.task.dataset, result.task.protocol), []).append(result)
    return "\n\n".join(_format_group(*key, members) for key, members in groups.items())


def _format_group(dataset: str, protocol: str, results: list[Result]) -> str:
    views = sorted({result.task.view for result in results}, key=lambda view: rank("view", view))
    table = [["pretraining", *views, "cover"]]
    for pretraining in dict.fromkeys(result.task.pretraining for result in results):
        mine = [result for result in results if result.task.pretraining == pretraining]
        cells = [_cell([result for result in mine if result.task.view == view]) for view in views]
        covers = sorted({f"{100 * result.coverage:.0f}" for result in mine}, key=int)
        table.append([pretraining, *cells, f"{'-'.join(dict.fromkeys((covers[0], covers[-1])))} %"])
    chance = _cell_text(f"{100 * mean(result.chance for result in results):.1f}")
    table.append(["chance", *[chance] * len(views), ""])
    splits = in_order({result.task.split for result in results})
    named = f"split {splits[0]}" if len(splits) == 1 else f"mean ± sd of splits {listed_splits(splits)}"
    counts = [max(result.n for result in results if result.task.split == split) for split in splits]
    videos = "-".join(f"{count}" for count in dict.fromkeys((min(counts), max(counts))))
    title = PROTOCOLS[protocol].heading if protocol in PROTOCOLS else protocol
    return f"{dataset}: {title}, % ({named}, {videos} test videos)\n" + aligned(table)


def listed_splits(splits: Sequence[str]) -> str:
    """Names of splits in a few words: "1, 2, 3", or "1 to 10" where there are many."""
    many = len(splits) > 5 and list(splits) == [str(n) for n in range(1, len(splits) + 1)]
    return f"1 to {len(splits)}" if many else ", ".join(splits)


def _cell(results: list[Result]) -> str:
    if not results:
        return _cell_text("-")
    accuracies = [result.top1 for result in results]
    low, high = results[0].ci95
    spread = stdev(accuracies) if len(results) > 1 else (high - low) / 2
    return _cell_text(f"{100 * mean(accuracies):.1f}", f"±{100 * spread:.1f}")


def _cell_text(number: str, interval: str = "") -> str:
    return f"{number:>5} {interval:<5}"


def aligned(table: list[list[str]]) -> str:
    """The first column flush left, the others right, a rule below the headings."""
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = []
    for row in table:
        padded = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *padded[1:]]).rstrip())
    rule = "-" * max(len(line) for line in lines)
    return "\n".join([lines[0], rule, *lines[1:]])


def rank(kind: str, name: str) -> tuple[int, str]:
    """Position of a known name in its natural order; unknown names follow in alphabetical order."""
    order = _ORDERS[kind]
    return (order.index(name) if name in order else len(order), name)


def position(result: Result) -> tuple[object, ...]:
    """Sort key of a row: protocol, pretraining, view, split, seed."""
    task = result.task
    ranks = (rank(kind, getattr(task, kind)) for kind in ("protocol", "pretraining", "view"))
    return (task.dataset, *ranks, len(task.split), task.split, task.seed)


def read_document(path: Path) -> dict[str, Any]:
    """The JSON object that a file holds.

    Raises:
        DatasetError: The file is missing or of another kind.
    """
    with reading(path, "file of metrics", DatasetError, missing="run the evaluation first", damaged=_OURS):
        return read_object(path)
