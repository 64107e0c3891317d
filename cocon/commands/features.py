"""``cocon features``: compute features of all labelled videos with a frozen encoder.

The encoder processes half-overlapping windows of each whole video; its outputs are averaged over the windows.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from cocon.commands.arguments import add_inference, add_shards
from cocon.config.load import parse_settings
from cocon.files import output_file
from cocon.views import VIEWS

HELP = "compute features of all labelled videos with a frozen encoder"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("--manifest", type=Path, required=True, help="table of videos")
    add_shards(parser)
    add("--view", required=True, choices=tuple(VIEWS))
    add("--checkpoint", type=Path, required=True, help="the encoder, <view>.safetensors")
    add("--output", type=output_file, required=True, help="the .h5 file of features")
    add("--settings", default="{}", help="JSON or a file: clip")
    add("--amp", choices=("auto", "off"), default="auto", help="auto: half precision on a GPU")
    add_inference(parser)


def run(args: argparse.Namespace) -> None:
    """Encode the videos and write the features."""
    from cocon.datasets.manifest import read_manifest
    from cocon.evaluation.encode import encode_videos, labelled_ids
    from cocon.evaluation.features import write_features
    from cocon.evaluation.settings import FeaturesSettings
    from cocon.shards import ShardSet
    from cocon.shards.membership import check
    from cocon.training.checkpoint import load_encoder
    from cocon.training.devices import world

    settings = parse_settings(args.settings, FeaturesSettings)
    network, info = load_encoder(args.checkpoint, view=args.view)
    clip = settings.clip or info.clip
    videos = read_manifest(args.manifest)
    shards = ShardSet.of_folder(args.shards / args.view, args.shard_count)
    check(shards, videos)
    with world(args.device, args.threads) as process:
        features = encode_videos(
            network,
            shards,
            labelled_ids(videos),
            clip,
            pretraining=info.pretraining,
            device=process.device,
            batch_size=args.batch_size,
            workers=args.workers,
            half=args.amp == "auto",
        )
    write_features(args.output, features)
