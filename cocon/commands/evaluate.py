"""``cocon evaluate``: evaluate a frozen encoder by its features.

The row of metrics goes to ``--output``, the scores of every test video (.npz) next to it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from cocon.config.load import parse_settings
from cocon.evaluation.run import evaluate_features
from cocon.evaluation.settings import EvaluateSettings
from cocon.files import output_file
from cocon.protocols import FEATURES, described, that_read

HELP = "evaluate a frozen encoder by its features: linear probe, retrieval"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("--protocol", required=True, choices=that_read(FEATURES), help=described(FEATURES))
    add("--manifest", required=True, type=Path, help="table of the videos")
    add("--features", required=True, type=Path, help="what `cocon features` wrote")
    add("--split", required=True, help="name of the split, for instance 1")
    add("--output", required=True, type=output_file, help=".json of metrics; scores are written next to it")
    add("--name", default="", help="name of the row in the table; default: the protocol")
    add("--settings", default="{}", help="JSON or a file: <the protocol>, bootstrap")
    add("--seed", type=int, default=0, help="seed of the bootstrap")


def run(args: argparse.Namespace) -> None:
    """Write the row of metrics, and the scores next to it."""
    settings = parse_settings(args.settings, EvaluateSettings)
    evaluate_features(
        args.protocol,
        manifest=args.manifest,
        features=args.features,
        split=args.split,
        name=args.name,
        settings=settings.of(args.protocol),
        bootstrap=settings.bootstrap,
        seed=args.seed,
        output=args.output,
    )
