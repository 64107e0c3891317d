"""Contents of a shard: names, types, and the two records for writing and reading.

``docs/shard_format.md`` is the specification. Frames and videos are defined here, the user block in
:mod:`cocon.shards.header`, the limits in :mod:`cocon.shards.tables`, and each codec in its own module.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import Field, dataclass, field, fields
from typing import Any, Literal

import numpy as np

from cocon.shards.file_state import FileState

FORMAT = "cocon-shard"
VERSION = 3
READABLE = (2, 3)
"""Version 2 has neither checksums of frames nor the columns about the source files."""

Codec = Literal["jpeg", "dct", "delta", "keypoints"]
Status = Literal["ok", "repaired", "skipped"]

KEYPOINT_SHAPE = (17, 3)
"""Per person: 17 COCO keypoints x (x / source width, y / source height, score)."""

PERSON_BYTES = 2 * math.prod(KEYPOINT_SHAPE)
"""A person's keypoints in half precision."""


@dataclass(frozen=True)
class VideoInfo:
    """One row of a shard's video table. ``frames`` is 0 when the video was skipped."""

    id: str
    frames: int
    height: int
    width: int
    source_height: int
    source_width: int
    fps: float
    status: Status
    reason: str
    crc32: int
    source_bytes: int = field(default=0, metadata={"since": 3})
    source_modified: int = field(default=0, metadata={"since": 3})
    source_sha256: str = field(default="", metadata={"since": 3})

    @property
    def usable(self) -> bool:
        """Whether there are frames to read."""
        return self.frames > 0

    @property
    def source(self) -> FileState:
        """The source file of the frames, as far as known."""
        return FileState(self.source_bytes, self.source_modified, self.source_sha256)


def columns(version: int) -> list[Field[Any]]:
    """The columns of the video table in a version of the format."""
    return [column for column in fields(VideoInfo) if column.metadata.get("since", 0) <= version]


@dataclass(frozen=True)
class VideoRecord:
    """A whole video at once, for :meth:`cocon.shards.ShardWriter.add`.

    Exactly one of ``frames`` and ``keypoints`` is given. ``frames`` are coded pictures, one per frame of
    the video; ``keypoints`` are arrays (persons, 17, 3), one per frame of the video, with x and y as
    fractions of the source's width and height. ``height`` and ``width`` are the stored size in pixels; for
    keypoints, the size of the heatmaps that the reader renders.
    """

    id: str
    height: int
    width: int
    source_height: int
    source_width: int
    fps: float
    frames: Sequence[bytes] | None = None
    keypoints: Sequence[np.ndarray] | None = None
    status: Status = "ok"
    reason: str = ""

    def __post_init__(self) -> None:
        if (self.frames is None) == (self.keypoints is None):
            raise ValueError("a video has either frames or keypoints")

    @property
    def content(self) -> Sequence[bytes] | Sequence[np.ndarray]:
        """The frames or the keypoints."""
        content = self.frames if self.frames is not None else self.keypoints
        assert content is not None
        return content


def shard_of(video_id: str, shards: int) -> int:
    """The shard that a video belongs to.

    It depends on the id alone, so that adding or removing a video changes one shard and no other.
    """
    return zlib.crc32(video_id.encode("utf-8", "surrogateescape")) % shards
