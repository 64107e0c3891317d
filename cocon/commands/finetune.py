"""``cocon finetune``: fine-tune encoder and aggregator with labels, and test the classifier.

Scores (.npz), log (.log.jsonl) and the classifier (.safetensors) are written next to the metrics. The same
command resumes an interrupted run.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from cocon.commands.arguments import add_device, add_shards
from cocon.config.load import parse_settings
from cocon.files import output_file, output_folder
from cocon.protocols import FRAMES, PROTOCOLS, described, that_read
from cocon.views import VIEWS

HELP = "fine-tune an encoder with labels and test it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("--manifest", type=Path, required=True, help="table of videos")
    add_shards(parser)
    add("--view", required=True, choices=tuple(VIEWS))
    add("--checkpoint", type=Path, required=True, help="the encoder, <view>.safetensors")
    add("--split", required=True, help="name of the split, for instance 1")
    add(
        "--output",
        type=output_file,
        required=True,
        help=".json of metrics; the other files are written next to it",
    )
    add("--state", type=output_folder, required=True, help="folder for unfinished runs")
    add("--protocol", default="finetune", choices=that_read(FRAMES), help=described(FRAMES))
    add("--name", default="", help="name of the row in the table; default: the protocol")
    add("--settings", default="{}", help="JSON or a file: <the protocol>, clip, bootstrap")
    add("--seed", type=int, default=0)
    add_device(parser)


def run(args: argparse.Namespace) -> None:
    """Train and test; write metrics, scores and log."""
    from cocon.evaluation.finetune import FinetuneJob
    from cocon.evaluation.settings import FinetuneSettings
    from cocon.training.devices import world

    job = FinetuneJob(
        manifest=args.manifest,
        shards=args.shards,
        shard_count=args.shard_count,
        view=args.view,
        checkpoint=args.checkpoint,
        split=args.split,
        output=args.output,
        state=args.state,
        settings=parse_settings(args.settings, FinetuneSettings),
        seed=args.seed,
        protocol=args.protocol,
        name=args.name,
    )
    with world(args.device, args.threads) as process:
        PROTOCOLS[args.protocol].load()(job, process.device)
