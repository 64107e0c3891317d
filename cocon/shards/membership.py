"""Checks that shards hold exactly the videos of a list, extracted from the listed files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from cocon.errors import ShardError
from cocon.shards.file_state import FileState
from cocon.shards.reader import ShardSet


class Listed(Protocol):
    """A row of a list of videos."""

    @property
    def id(self) -> str:
        """Of the video."""

    @property
    def source(self) -> FileState:
        """The video's file, as far as the list specifies it."""


def check(shard_set: ShardSet, videos: Iterable[Listed]) -> None:
    """Refuse shards that were extracted for another list of videos, or from other files.

    The disk is not read: the videos need not exist.

    Args:
        shard_set: all shards of a view.
        videos: all videos of the data set.

    Raises:
        ShardError: a video is on one side only, or the two sides specify different files. Shards of version 2
            do not specify files.
    """
    listed, rows = {video.id: video.source for video in videos}, shard_set.videos
    absent = [video_id for video_id in listed if video_id not in rows]
    foreign = [video_id for video_id in rows if video_id not in listed]
    changed = [
        video_id
        for video_id, source in listed.items()
        if video_id in rows and source.contradicts(rows[video_id].source)
    ]
    wrong = [
        (absent, "in no shard"),
        (foreign, "in the shards and not in the list"),
        (changed, "extracted from another state of the file"),
    ]
    counts = [f"{len(ids)} {what} (first: '{ids[0]}')" for ids, what in wrong if ids]
    if counts:
        folder = shard_set.shards[0].path.parent
        raise ShardError(
            f"the shards in {folder} do not match the list of {len(listed)} videos: {', '.join(counts)}",
            f"run the extraction again: snakemake extract_{_data_set(folder)}; "
            "with --forceall where it finds nothing to do",
        )


def _data_set(folder: Path) -> str:
    """The owner of the shards, from the layout ``<data set>/shards/<view>``."""
    *_, name, shards, _ = ("", "", *folder.absolute().parts)
    return name if shards == "shards" and name else "<data set>"
