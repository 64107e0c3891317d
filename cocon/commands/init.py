"""``cocon init``: untrained encoders, the row "random" of every table."""

from __future__ import annotations

import argparse

from cocon.config.load import parse_settings
from cocon.files import output_folder
from cocon.views import VIEWS

HELP = "write randomly initialised encoders"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``cocon init``."""
    parser.add_argument("--views", nargs="+", choices=tuple(VIEWS), required=True)
    parser.add_argument(
        "--output-dir", type=output_folder, required=True, help="folder for <view>.safetensors"
    )
    parser.add_argument("--settings", default="{}", help="JSON or a file: clip, network")
    parser.add_argument("--seed", type=int, default=0)


def run(args: argparse.Namespace) -> None:
    """Write the encoders."""
    from cocon.training.initialise import write_initial_encoders
    from cocon.training.settings import InitSettings

    write_initial_encoders(
        args.views, args.output_dir, parse_settings(args.settings, InitSettings), args.seed
    )
