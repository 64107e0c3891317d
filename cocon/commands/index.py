"""``cocon index``: write the manifest of a data set."""

from __future__ import annotations

import argparse

from pydantic import RootModel

from cocon.config.schema import Dataset
from cocon.config.settings import parse_settings
from cocon.datasets.manifest import write_manifest
from cocon.datasets.probe import glance
from cocon.datasets.registry import list_videos
from cocon.files import output_file
from cocon.terminal import say

HELP = "list the videos of a data set in one table"


class _DatasetSettings(RootModel[Dataset]):
    """Any kind of data set, chosen by its key ``kind``."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``cocon index``."""
    parser.add_argument("--settings", required=True, help="the data set's section of config.yaml, as JSON")
    parser.add_argument("--output", type=output_file, required=True, help="the manifest, a CSV file")


def run(args: argparse.Namespace) -> None:
    """Read the official lists (or the table) and write the manifest."""
    settings = parse_settings(args.settings, _DatasetSettings).root
    videos = list_videos(settings)
    write_manifest(args.output, videos, {video.id: glance(video.path) for video in videos})
    labels = {video.label for video in videos if video.label}
    say(f"{args.output}: {len(videos):,} videos, {len(labels)} classes")
