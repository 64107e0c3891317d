"""``cocon neighbours``: similarity of test videos of the same class, per view."""

from __future__ import annotations

import argparse

from cocon.commands.arguments import add_views_of_split
from cocon.commands.ensemble import parse_inputs
from cocon.terminal import say

HELP = "measure how similar test videos of the same class are in each view"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_views_of_split(parser)


def run(args: argparse.Namespace) -> None:
    """Write the figures of each view and print them."""
    from cocon.evaluation.run import evaluate_likeness

    found = evaluate_likeness(
        args.manifest,
        parse_inputs(args.features, "--features"),
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
