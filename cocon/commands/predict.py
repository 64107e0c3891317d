"""``cocon predict``: predict labels of videos from their shards, with trained classifiers.

``view-extractors`` writes the shards, one folder per view. Videos that are missing in a view have no row.
"""

from __future__ import annotations

import argparse
import logging

from cocon.commands.arguments import add_inference, add_shards
from cocon.commands.ensemble import parse_inputs
from cocon.config.load import parse_settings
from cocon.evaluation.settings import EnsembleSettings
from cocon.files import output_file

log = logging.getLogger(__name__)

HELP = "predict labels of videos with trained classifiers"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add(
        "--classifiers",
        required=True,
        nargs="+",
        metavar="VIEW=FILE",
        help="classifiers written by `cocon finetune`",
    )
    add_shards(parser)
    add("--output", type=output_file, required=True, help="the .csv to write")
    add("--settings", default="{}", help="ensemble, the weights of the views: JSON or a file")
    add_inference(parser)


def run(args: argparse.Namespace) -> None:
    """Classify the videos and write the table."""
    from cocon.evaluation.predict import predict, write_predictions
    from cocon.training.devices import world

    with world(args.device, args.threads) as process:
        found = predict(
            parse_inputs(args.classifiers, "--classifiers"),
            args.shards,
            dict(parse_settings(args.settings, EnsembleSettings).ensemble.items()),
            device=process.device,
            batch_size=args.batch_size,
            workers=args.workers,
            shard_count=args.shard_count,
        )
    write_predictions(args.output, found)
    if found.left_out:
        names = ", ".join(found.left_out[:5])
        log.warning("%d videos cannot be classified: %s", len(found.left_out), names)
