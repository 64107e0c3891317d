"""``cocon schema``: the JSON schema of ``config.yaml``, generated from the typed configuration."""

from __future__ import annotations

import argparse

from cocon.config.schema import Config
from cocon.files import output_file, write_json

HELP = "write the JSON schema of config.yaml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``cocon schema``."""
    parser.add_argument("--output", type=output_file, required=True, help="the schema, a JSON file")


def run(args: argparse.Namespace) -> None:
    """Write the schema."""
    write_json(args.output, Config.model_json_schema())
