"""``cocon index``: write the manifest of a data set, or of one shard."""

from __future__ import annotations

import argparse
import logging

from cocon.config.load import parse_settings
from cocon.config.schema import AnyDataset
from cocon.datasets.manifest import write_manifest
from cocon.datasets.registry import list_videos
from cocon.datasets.splits import limited_to, with_labels_to_choose_by
from cocon.datasets.video_facts import glance
from cocon.errors import DatasetError
from cocon.files import output_file
from cocon.shards import shard_of
from cocon.workflow.lists import file_identity, members_of, table_of, tracked

log = logging.getLogger(__name__)

HELP = "list the videos of a data set in one table"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``cocon index``."""
    add = parser.add_argument
    add("--settings", required=True, help="the data set's section of config.yaml, as JSON")
    add("--output", type=output_file, required=True, help="the manifest, a CSV file")
    add("--shard", type=int, metavar="K", help="list part K of the videos (from 0); default: all")
    add("--shards", type=int, default=1, metavar="N", help="of N parts, assigned by id (default 1)")
    add("--split", help="list the roles of this split only, or of common, all, any (docs/datasets.md)")
    add(
        "--for-pretraining",
        action="store_true",
        help="leave out labels of videos that encoders are tested on",
    )
    add(
        "--expect",
        metavar="ID",
        help="fingerprint of the videos and their files from the planning of the run",
    )


def run(args: argparse.Namespace) -> None:
    """Read the official lists (or the table) and write the manifest.

    Raises:
        DatasetError: the lists are wrong, or not those that ``--expect`` identifies.
    """
    settings = parse_settings(args.settings, AnyDataset).root
    videos, identity = list_videos(settings), file_identity if tracked(settings) else None
    if args.shard is None:
        found, what = table_of(videos, identity, labels=True), "the data set"
    else:
        videos = [video for video in videos if shard_of(video.id, args.shards) == args.shard]
        found, what = members_of(videos, identity), f"shard {args.shard} of {args.shards}"
    if args.expect not in (None, found):
        raise DatasetError(
            f"the list of videos or one of their files changed after the run was planned ({what})",
            "run the same command again; it plans with the new list",
        )
    if args.for_pretraining:
        videos = with_labels_to_choose_by(settings, videos)
    if args.split:
        videos = limited_to(videos, args.split)
    # The files of a whole data set are not checked: there may be hundreds of thousands on a network, and
    # nothing compares their state. The few files of a shard are: those already missing do not count as
    # failures of its extraction.
    look = settings.track_videos or args.shard is not None
    facts = {video.id: glance(video.path) for video in videos} if look else {}
    write_manifest(args.output, videos, facts)
    labels = {video.label for video in videos if video.label}
    log.info("%s: %s videos, %d classes", args.output, f"{len(videos):,}", len(labels))
