"""``cocon export``: write encoders as a self-contained folder.

The folder has the weights, all settings that an embedding depends on (including those of the extraction) and
a model card. ``cocon embed`` and ``cocon.load_encoder`` read it on any machine, without the training data.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from cocon.commands.arguments import add_shards
from cocon.export.config import POOLINGS
from cocon.files import output_folder

log = logging.getLogger(__name__)

HELP = "write encoders, their settings and a model card into one folder"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("--encoders", type=Path, nargs="+", required=True, metavar="FILE", help="encoders, one file per view")
    add(
        "--output",
        type=output_folder,
        required=True,
        help="the output folder; an earlier export is replaced",
    )
    add_shards(
        parser,
        required=False,
        help="folder with one folder of shards per view; for checkpoints that do not say how their views "
        "were extracted (those of `cocon init`)",
    )
    add(
        "--embedding",
        choices=POOLINGS,
        default="encoder",
        help="which features of `cocon features`; default: encoder, as in retrieval",
    )
    add("--dataset", default="", help="name of the training data, for the card")
    add("--summary", type=Path, help="summary.json, for the accuracies in the card")
    add("--licence", default="", help="licence of the weights, for the card")


def run(args: argparse.Namespace) -> None:
    """Write the folder."""
    from cocon.export.write import ExportJob, export

    job = ExportJob(
        checkpoints=args.encoders,
        output=args.output,
        shards=args.shards,
        shard_count=args.shard_count,
        pooling=args.embedding,
        dataset=args.dataset,
        summary=args.summary,
        licence=args.licence,
    )
    config = export(job)
    log.info("%s: %s, %s", args.output, config.pretraining, ", ".join(config.views))
