"""``cocon relations``: similar classes, and the agreement of the views on them."""

from __future__ import annotations

import argparse

from cocon.commands.arguments import add_views_of_split
from cocon.commands.ensemble import parse_inputs
from cocon.config.load import parse_settings
from cocon.evaluation.settings import RelationsSettings
from cocon.terminal import say

HELP = "find the nearest classes of every class, and count those on which the views agree"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_views_of_split(parser)
    parser.add_argument("--settings", default="{}", help="relations: JSON or a file")


def run(args: argparse.Namespace) -> None:
    """Write the relations and print how many classes agree."""
    from cocon.evaluation.run import evaluate_relations

    found = evaluate_relations(
        args.manifest,
        parse_inputs(args.features, "--features"),
        split=args.split,
        settings=parse_settings(args.settings, RelationsSettings).relations,
        seed=args.seed,
        output=args.output,
    )
    say(f"{found.agreeing} of {len(found.classes)} classes agree ({found.chance:.1f} by chance)")
