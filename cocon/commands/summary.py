"""``cocon summary``: all rows of metrics in one file, and as tables in the terminal."""

from __future__ import annotations

import argparse
from pathlib import Path

from cocon.errors import ConfigError
from cocon.evaluation.summary import format_tables, read_results, read_summary, write_summary

HELP = "gather rows of metrics into one summary, or show one"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--metrics", nargs="+", type=Path, metavar="JSON", help="files of one row each")
    source.add_argument("--show", type=Path, metavar="SUMMARY", help="print the tables of a summary")
    parser.add_argument("--output", type=Path, help="the summary.json to write (with --metrics)")
    parser.add_argument("--csv", type=Path, help="the summary.csv to write (with --metrics)")


def run(args: argparse.Namespace) -> None:
    """Print the tables; with ``--metrics`` write the summary first."""
    if args.show:
        print(format_tables(read_summary(args.show)))
        return
    if args.output is None or args.csv is None:
        raise ConfigError("--metrics needs to know where to write", "give --output and --csv")
    results = read_results(args.metrics)
    write_summary(results, args.output, args.csv)
    print(format_tables(results))
