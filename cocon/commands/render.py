"""``cocon render``: make the embedded demo data set."""

from __future__ import annotations

import argparse

from cocon.config.schema import DemoDataset
from cocon.config.settings import parse_settings
from cocon.datasets.demo import render
from cocon.files import output_folder

HELP = "render the videos of the embedded demo, with their true pose, mask and flow"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--settings", required=True, help="the data set's section of config.yaml, as JSON")
    parser.add_argument(
        "--root", type=output_folder, help="folder to render to, instead of the settings' root"
    )
    parser.add_argument("--processes", type=int, default=1, help="clips that are rendered at the same time")


def run(args: argparse.Namespace) -> None:
    """Render what is missing of an interrupted run, or everything."""
    settings = parse_settings(args.settings, DemoDataset)
    if args.root:
        settings = settings.model_copy(update={"root": args.root})
    render(settings, args.processes)
