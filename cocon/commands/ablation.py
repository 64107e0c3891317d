"""``cocon ablation``: compare several pretrainings over several seeds and splits.

A path may be a pattern of several files: ``evaluation/{cpc,cocon}/rgb/linear_split1.json``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from cocon.commands.summary import Seen
from cocon.config.load import parse_settings
from cocon.errors import ConfigError
from cocon.evaluation.ablation import gather, read_ablation, write_ablation
from cocon.evaluation.ablation_table import format_ablation
from cocon.evaluation.frame_size import read_frame_size
from cocon.evaluation.run import groups_in
from cocon.files import output_file
from cocon.patterns import expanded
from cocon.terminal import say

HELP = "compare pretrainings over several seeds in one table, or print such a table"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--metrics", nargs="+", metavar="JSON", help="metrics files, with their scores next to them"
    )
    source.add_argument("--show", type=Path, metavar="ABLATION", help="print the tables of an ablation")
    parser.add_argument(
        "--relations", nargs="*", default=[], metavar="JSON", help="output of `cocon relations`"
    )
    parser.add_argument(
        "--neighbours", nargs="*", default=[], metavar="JSON", help="output of `cocon neighbours`"
    )
    parser.add_argument(
        "--sizes", nargs="*", default=[], metavar="JSON", help="output of `cocon sizes`, by split"
    )
    parser.add_argument(
        "--manifest",
        type=Path,
        help="table of the videos, for their groups: the bootstrap resamples whole groups",
    )
    parser.add_argument(
        "--seen",
        default="{}",
        help="by split, the numbers of test videos seen in pretraining and of all test videos: JSON or a "
        "file",
    )
    parser.add_argument("--output", type=output_file, help="the .json to write (with --metrics)")
    parser.add_argument("--csv", type=output_file, help="the .csv to write (with --metrics)")


def run(args: argparse.Namespace) -> None:
    """Print the tables; with ``--metrics`` write them first."""
    if args.show:
        say(format_ablation(read_ablation(args.show)))
        return
    if args.output is None or args.csv is None:
        raise ConfigError("--metrics needs output files", "give --output and --csv")
    metrics, relations, neighbours, sizes = (
        [Path(path) for path in expanded(patterns)]
        for patterns in (args.metrics, args.relations, args.neighbours, args.sizes)
    )
    ablation = gather(
        metrics,
        relations,
        neighbours,
        [read_frame_size(path) for path in sizes],
        groups_in(args.manifest) if args.manifest else None,
        parse_settings(args.seen, Seen).root,
    )
    write_ablation(ablation, args.output, args.csv)
    say(format_ablation(ablation))
