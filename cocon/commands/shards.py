"""``cocon shards``: look into shards, and check that they are whole."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from cocon.shards import Shard
from cocon.shards.verify import verify

HELP = "describe or verify HDF5 shards"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``cocon shards``."""
    parser.add_argument("action", choices=("info", "verify"))
    parser.add_argument("shards", type=Path, nargs="+", metavar="SHARD")


def run(args: argparse.Namespace) -> None:
    """Print one line per shard (and, for info, one per video that is not ok)."""
    for path in args.shards:
        if args.action == "verify":
            print(f"{path}: whole, {len(verify(path))} videos")
            continue
        shard = Shard(path)
        frames = sum(video.frames for video in shard.videos.values())
        size = path.stat().st_size
        print(f"{path}: {shard.view}, {len(shard.videos)} videos, {frames:,} frames, {size:,} bytes")
        print(f"  {json.dumps(shard.parameters)}")
        for video in shard.videos.values():
            if video.status != "ok":
                print(f"  {video.status}: {video.id}: {video.reason}")
