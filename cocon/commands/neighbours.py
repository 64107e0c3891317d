"""``cocon neighbours``: similarity of test videos of the same class, per view."""

from __future__ import annotations

import argparse
from pathlib import Path

from cocon.commands.ensemble import parse_inputs
from cocon.files import output_file
from cocon.terminal import say

HELP = "measure how similar test videos of the same class are in each view"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("--manifest", required=True, type=Path, help="table of the videos")
    add("--features", required=True, nargs="+", metavar="VIEW=FILE", help="features of the same encoders")
    add("--split", required=True, help="split whose test videos are compared")
    add("--seed", type=int, default=0, help="seed of the encoders, noted in the output")
    add("--output", required=True, type=output_file, help=".json")


def run(args: argparse.Namespace) -> None:
    """Write the figures of each view and print them."""
    from cocon.evaluation.run import evaluate_likeness

    found = evaluate_likeness(
        manifest=args.manifest,
        features=parse_inputs(args.features, "--features"),
        split=args.split,
        seed=args.seed,
        output=args.output,
    )
    for view, of_view in found.items():
        if of_view.share is None or of_view.chance is None:
            say(f"{view}: no two test videos of one class can be compared")
        else:
            figures = f"{100 * of_view.share:.1f} % ({100 * of_view.chance:.1f} by chance)"
            say(f"{view}: of the nearest videos, {figures} are of the same class")
