"""``cocon summary``: all rows of metrics in one file, and as tables in the terminal.

With ``--setting`` the table shows published figures next to results of the same setting; ``--paper`` collects
such summaries in the paper's table of results.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import RootModel

from cocon.config.load import parse_settings
from cocon.errors import ConfigError, DatasetError
from cocon.evaluation.metrics import Result
from cocon.evaluation.paper import PaperCell, Setting, cells_beside, format_cells, whole_table
from cocon.evaluation.summary import (
    format_tables,
    read_document,
    read_results,
    read_seen,
    read_summary,
    seen_sentence,
    write_summary,
)
from cocon.files import output_file, write_csv, write_json
from cocon.terminal import say

HELP = "collect metrics in one summary, or print a summary"


class Seen(RootModel[dict[str, tuple[int, int]]]):
    """Numbers of test videos seen in pretraining, and of all test videos, by split."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--metrics", nargs="+", type=Path, metavar="JSON", help="metrics files")
    source.add_argument("--show", type=Path, metavar="SUMMARY", help="print the tables of a summary")
    source.add_argument(
        "--paper",
        nargs="+",
        type=Path,
        metavar="SUMMARY",
        help="summaries with a setting, for the paper's table",
    )
    parser.add_argument(
        "--setting",
        help="data sets, network and views, to select published figures: JSON or a file",
    )
    parser.add_argument(
        "--seen",
        default="{}",
        help="test videos that the encoders were pretrained on, and of how many, by split: JSON or a file, "
        "as {2: [30, 60]}",
    )
    parser.add_argument("--output", type=output_file, help="the .json to write (not with --show)")
    parser.add_argument("--csv", type=output_file, help="the .csv to write (not with --show)")


def run(args: argparse.Namespace) -> None:
    """Print the tables; with ``--metrics`` and ``--paper`` write them first."""
    if args.show:
        say(_text(read_summary(args.show), read_cells(args.show), read_seen(args.show)))
        return
    if args.output is None or args.csv is None:
        raise ConfigError("a table needs output files", "give --output and --csv")
    if args.paper:
        cells = whole_table([cell for path in args.paper for cell in read_cells(path)])
        rows = [cell.row() for cell in cells]
        write_csv(args.csv, rows, list(rows[0]))
        write_json(args.output, {"cells": rows})
        say(format_cells(cells))
        return
    results = read_results(args.metrics)
    more: dict[str, object] = {}
    if seen := parse_settings(args.seen, Seen).root:
        more["seen"] = seen
    if args.setting:
        setting = parse_settings(args.setting, Setting)
        beside = [cell.row() for cell in cells_beside(results, setting)]
        more |= {"setting": setting.model_dump(mode="json"), "published": beside}
    write_summary(results, args.output, args.csv, more)
    say(_text(results, read_cells(args.output), seen))


def read_cells(path: Path) -> list[PaperCell]:
    """Published figures for a summary; none if it was written without a setting.

    Raises:
        DatasetError: The file is missing or no summary.
    """
    setting = read_document(path).get("setting")
    if setting is None:
        return []
    try:
        return cells_beside(read_summary(path), Setting.model_validate(setting))
    except ValueError as error:
        raise DatasetError(f"{path} has a setting that this version does not support: {error}") from error


def _text(results: Sequence[Result], cells: Sequence[PaperCell], seen: Mapping[str, tuple[int, int]]) -> str:
    parts = (format_tables(results), seen_sentence(seen), format_cells(cells))
    return "\n\n".join(filter(None, parts))
