"""Gathers rows of metrics into one summary, as JSON, CSV and a table to read in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean

from cocon.config.schema import PRETRAININGS
from cocon.errors import DatasetError
from cocon.evaluation import PROTOCOLS
from cocon.evaluation.ensemble import VIEW
from cocon.evaluation.metrics import Result
from cocon.files import read_json, write_csv, write_json
from cocon.views import VIEWS

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
        DatasetError: A file is missing or no row of metrics, or two files hold the same row.
    """
    sources: dict[object, Path] = {}
    results = []
    for path in paths:
        result = Result.from_row(_read(path))
        if result.task in sources:
            raise DatasetError(
                f"{sources[result.task]} and {path} hold the same row ({result.task})", "pass one of them"
            )
        sources[result.task] = path
        results.append(result)
    return sorted(results, key=position)


def write_summary(results: Sequence[Result], output: Path, csv: Path) -> None:
    """Write ``{"rows": [...]}`` to ``output``, and the same rows as a table to ``csv``."""
    rows = [result.row() for result in results]
    ranks = sorted({f"r{k}" for result in results for k in result.recall}, key=lambda name: int(name[1:]))
    flat = [{**row, "ci95_low": row["ci95"][0], "ci95_high": row["ci95"][1]} for row in rows]
    write_csv(csv, flat, [*_IDENTITY, *_FIGURES, *ranks])
    write_json(output, {"rows": rows})


def read_summary(path: Path) -> list[Result]:
    """Read what `write_summary` wrote.

    Raises:
        DatasetError: The file is missing or no summary.
    """
    document = _read(path)
    rows = document.get("rows")
    if not isinstance(rows, list):
        raise DatasetError(f"{path} is not a summary", "pass the .json file that `cocon summary` wrote")
    return [Result.from_row(row) for row in rows]


def format_tables(results: Sequence[Result]) -> str:
    """One aligned table per data set and protocol: a row per pretraining, a column per view, per cent.

    A cell is the mean over splits and seeds with half the width of the 95 % interval (of one split).
    ``cover`` is the smallest coverage of the row.
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
        table.append([pretraining, *cells, f"{100 * min(result.coverage for result in mine):.0f} %"])
    chance = _cell_text(f"{100 * mean(result.chance for result in results):.1f}")
    table.append(["chance", *[chance] * len(views), ""])
    splits = list(dict.fromkeys(result.task.split for result in results))
    named = f"split {splits[0]}" if len(splits) == 1 else f"mean of splits {', '.join(splits)}"
    videos = max(result.n for result in results)
    title = PROTOCOLS[protocol].title if protocol in PROTOCOLS else protocol
    return f"{dataset}: {title}, % ({named}, {videos} test videos)\n" + aligned(table)


def _cell(results: list[Result]) -> str:
    if not results:
        return _cell_text("-")
    half_width = mean((r.ci95[1] - r.ci95[0]) / 2 for r in results)
    return _cell_text(f"{100 * mean(r.top1 for r in results):.1f}", f"±{100 * half_width:.1f}")


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
    """Where a row stands among others: protocol, pretraining, view, split, seed."""
    task = result.task
    ranks = (rank(kind, getattr(task, kind)) for kind in ("protocol", "pretraining", "view"))
    return (task.dataset, *ranks, task.split, task.seed)


def _read(path: Path) -> dict[str, object]:
    try:
        document = read_json(path)
    except FileNotFoundError as error:
        raise DatasetError(f"there is no file {path}", "run the evaluation first") from error
    except ValueError as error:
        raise DatasetError(f"{path} is not JSON: {error}", "pass files that CoCon wrote") from error
    if not isinstance(document, dict):
        raise DatasetError(f"{path} holds no row of metrics", "pass files that CoCon wrote")
    return document
