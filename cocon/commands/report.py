"""``cocon report``: all results in one HTML file."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from cocon.commands.arguments import add_shards
from cocon.config.load import parse_settings
from cocon.errors import ConfigError
from cocon.files import output_file
from cocon.report.settings import ReportSettings
from cocon.views import VIEWS

log = logging.getLogger(__name__)

HELP = "write a self-contained HTML report about a data set's results"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``cocon report``."""
    parser.add_argument("--results", type=Path, required=True, help="folder results/<dataset>")
    parser.add_argument("--manifest", type=Path, help="table of the videos; default: <results>/manifest.csv")
    add_shards(parser, required=False, help="folder with one folder per view; default: <results>/shards")
    parser.add_argument("--summary", type=Path, help="collected accuracies; default: <results>/summary.json")
    parser.add_argument(
        "--encoders", type=Path, help="folder with one folder per pretraining; default: <results>/pretrain"
    )
    parser.add_argument("--settings", default="{}", help="the recipe and the seed of the run: JSON or a file")
    parser.add_argument("--output", type=output_file, help="output file; default: <results>/report.html")
    parser.add_argument("--title", default="", help="name of the data set; default: that of the folder")
    parser.add_argument(
        "--views", nargs="+", choices=list(VIEWS), default=(), help="views to show; default: all"
    )
    parser.add_argument(
        "--pretraining",
        default="",
        help="pretraining that curves, confusion and neighbours show; default: the most advanced one",
    )


def run(args: argparse.Namespace) -> None:
    """Write the report; it lists missing inputs.

    Raises:
        ConfigError: when the results folder does not exist.
    """
    from cocon.report.build import write_report
    from cocon.report.inputs import load_inputs

    if not args.results.is_dir():
        raise ConfigError(f"there is no folder {args.results}", "run the workflow first: snakemake eval_demo")
    inputs = load_inputs(
        args.results,
        manifest=args.manifest,
        shards=args.shards,
        shard_count=args.shard_count,
        summary=args.summary,
        title=args.title,
        views=args.views,
        pretraining=args.pretraining,
        encoders=args.encoders,
        settings=parse_settings(args.settings, ReportSettings),
    )
    output = args.output or args.results / "report.html"
    write_report(inputs, output)
    log.info("%s: %.1f MB", output, output.stat().st_size / 1e6)
