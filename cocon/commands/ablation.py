"""``cocon ablation``: several pretrainings over several seeds in one table."""

from __future__ import annotations

import argparse
from pathlib import Path

from cocon.errors import ConfigError
from cocon.evaluation.ablation import format_ablation, gather, read_ablation, write_ablation
from cocon.files import output_file
from cocon.terminal import say

HELP = "several pretrainings over several seeds in one table, or show one"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--metrics", nargs="+", type=Path, metavar="JSON", help="files of one row each")
    source.add_argument("--show", type=Path, metavar="ABLATION", help="print the tables of an ablation")
    parser.add_argument(
        "--relations", nargs="*", type=Path, default=[], metavar="JSON", help="what `cocon relations` wrote"
    )
    parser.add_argument("--output", type=output_file, help="the .json to write (with --metrics)")
    parser.add_argument("--csv", type=output_file, help="the .csv to write (with --metrics)")


def run(args: argparse.Namespace) -> None:
    """Print the tables; with ``--metrics`` write them first."""
    if args.show:
        say(format_ablation(read_ablation(args.show)))
        return
    if args.output is None or args.csv is None:
        raise ConfigError("--metrics needs to know where to write", "give --output and --csv")
    ablation = gather(args.metrics, args.relations)
    write_ablation(ablation, args.output, args.csv)
    say(format_ablation(ablation))
