"""``cocon sizes``: accuracy of a logistic regression on the frame size alone."""

from __future__ import annotations

import argparse
from pathlib import Path

from cocon.commands.arguments import add_shards
from cocon.files import output_file
from cocon.terminal import say
from cocon.views import VIEWS

HELP = "measure the accuracy of a logistic regression on the frame size alone"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("--manifest", required=True, type=Path, help="table of the videos")
    add_shards(parser)
    add("--view", required=True, choices=tuple(VIEWS), help="view whose shards provide the sizes")
    add("--split", required=True, help="name of the split, for instance 1")
    add("--output", required=True, type=output_file, help=".json")


def run(args: argparse.Namespace) -> None:
    """Read the tables of the shards, fit, and write the accuracy."""
    from cocon.datasets.manifest import read_manifest
    from cocon.evaluation.frame_size import classes_by_size, write_frame_size
    from cocon.evaluation.splits import labelled_split
    from cocon.shards import ShardSet
    from cocon.shards.membership import check

    videos = read_manifest(args.manifest)
    shards = ShardSet.of_folder(args.shards / args.view, args.shard_count)
    check(shards, videos)
    rows = [row for row in shards.videos.values() if row.usable and row.source_width and row.source_height]
    sizes = {row.id: (row.source_width, row.source_height) for row in rows}
    found = classes_by_size(labelled_split(videos, args.split), sizes)
    write_frame_size(args.output, found)
    say(f"{found.sizes} sizes; {100 * found.top1:.1f} % of {found.n} test videos follow from them")
