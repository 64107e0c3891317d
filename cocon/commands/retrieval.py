"""``cocon retrieval``: nearest training videos of each test video."""

from __future__ import annotations

import argparse

from cocon.config.load import parse_settings
from cocon.evaluation.run import add_features_arguments, evaluate_features
from cocon.evaluation.settings import RetrievalSettings

HELP = "retrieval: R@k among the training videos, on cached features"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_features_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Write the row of metrics, and the neighbours next to it."""
    settings = parse_settings(args.settings, RetrievalSettings)
    evaluate_features(
        "retrieval",
        manifest=args.manifest,
        features=args.features,
        split=args.split,
        name=args.name,
        settings=settings.retrieval,
        bootstrap=settings.bootstrap,
        seed=args.seed,
        output=args.output,
    )
