"""``cocon index``: write the manifest of a data set."""

from __future__ import annotations

import argparse
from pathlib import Path

from pydantic import RootModel

from cocon.config.schema import Dataset
from cocon.config.settings import parse_settings
from cocon.datasets.manifest import write_manifest
from cocon.datasets.probe import glance
from cocon.datasets.registry import list_videos

HELP = "list the videos of a data set in one table"


class _DatasetSettings(RootModel[Dataset]):
    """Any kind of data set, chosen by its key ``kind``."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``cocon index``."""
    parser.add_argument("--settings", required=True, help="the data set's section of config.yaml, as JSON")
    parser.add_argument("--output", type=Path, required=True, help="the manifest, a CSV file")


def run(args: argparse.Namespace) -> None:
    """Read the official lists (or the table) and write the manifest."""
    settings = parse_settings(args.settings, _DatasetSettings).root
    videos = list_videos(settings)
    # Hundreds of thousands of files on a network are not asked for what nobody compares.
    facts = {video.id: glance(video.path) for video in videos} if settings.track_videos else {}
    write_manifest(args.output, videos, facts)
    labels = {video.label for video in videos if video.label}
    print(f"{args.output}: {len(videos):,} videos, {len(labels)} classes")
