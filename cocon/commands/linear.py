"""``cocon linear``: logistic regression on the features of a frozen encoder."""

from __future__ import annotations

import argparse

from cocon.config.load import parse_settings
from cocon.evaluation.run import add_features_arguments, evaluate_features
from cocon.evaluation.settings import LinearSettings

HELP = "linear probe: logistic regression on cached features"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_features_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Write the row of metrics, and the probabilities next to it."""
    settings = parse_settings(args.settings, LinearSettings)
    evaluate_features(
        "linear",
        manifest=args.manifest,
        features=args.features,
        split=args.split,
        name=args.name,
        settings=settings.linear,
        bootstrap=settings.bootstrap,
        seed=args.seed,
        output=args.output,
    )
