"""``cocon relations``: similar classes, and the agreement of the views on them."""

from __future__ import annotations

import argparse
from pathlib import Path

from cocon.commands.ensemble import parse_inputs
from cocon.config.load import parse_settings
from cocon.evaluation.settings import RelationsSettings
from cocon.files import output_file
from cocon.terminal import say

HELP = "find the nearest classes of every class, and count those on which the views agree"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("--manifest", required=True, type=Path, help="table of the videos")
    add("--features", required=True, nargs="+", metavar="VIEW=FILE", help="features of the same encoders")
    add("--split", required=True, help="split whose test videos are compared")
    add("--settings", default="{}", help="relations: JSON or a file")
    add("--seed", type=int, default=0, help="seed of the encoders, noted in the output")
    add("--output", required=True, type=output_file, help=".json")


def run(args: argparse.Namespace) -> None:
    """Write the relations and print how many classes agree."""
    from cocon.evaluation.run import evaluate_relations

    found = evaluate_relations(
        manifest=args.manifest,
        features=parse_inputs(args.features, "--features"),
        split=args.split,
        settings=parse_settings(args.settings, RelationsSettings).relations,
        seed=args.seed,
        output=args.output,
    )
    say(f"{found.agreeing} of {len(found.classes)} classes agree ({found.chance:.1f} by chance)")
