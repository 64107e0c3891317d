"""What stands in a shard: names, types and the two small records that go in and come out.

``docs/shard_format.md`` is the specification; this module is its only mirror in code.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

FORMAT = "cocon-shard"
VERSION = 1

Codec = Literal["jpeg", "keypoints"]
Status = Literal["ok", "repaired", "skipped"]

KEYPOINT_SHAPE = (17, 3)
"""Per person: 17 COCO keypoints x (x / source width, y / source height, score)."""


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

    @property
    def usable(self) -> bool:
        """Whether there are frames to read."""
        return self.frames > 0


@dataclass
class VideoRecord:
    """What an extractor hands over for one video.

    Exactly one of ``frames`` and ``keypoints`` is given. ``frames`` are encoded images, one per frame of
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
    frames: list[bytes] | None = None
    keypoints: list[np.ndarray] | None = None
    status: Status = "ok"
    reason: str = ""
    payload: bytes = field(init=False, repr=False)
    lengths: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if (self.frames is None) == (self.keypoints is None):
            raise ValueError("a video has either frames or keypoints")
        if self.frames is not None:
            self.payload = b"".join(self.frames)
            self.lengths = np.array([len(frame) for frame in self.frames], np.int64)
        else:
            assert self.keypoints is not None
            persons = [np.asarray(p, "<f2").reshape(-1, *KEYPOINT_SHAPE) for p in self.keypoints]
            self.payload = b"".join(p.tobytes() for p in persons)
            self.lengths = np.array([p.nbytes for p in persons], np.int64)
        if len(self.lengths) == 0:
            raise ValueError(f"video '{self.id}' has no frames; skip it with a reason instead")

    @property
    def codec(self) -> Codec:
        """How the frames are coded."""
        return "jpeg" if self.frames is not None else "keypoints"

    @property
    def info(self) -> VideoInfo:
        """The row that this record becomes."""
        return VideoInfo(
            self.id,
            len(self.lengths),
            self.height,
            self.width,
            self.source_height,
            self.source_width,
            self.fps,
            self.status,
            self.reason,
            zlib.crc32(self.payload),
        )


def shard_of(video_id: str, shards: int) -> int:
    """The shard that a video belongs to.

    It depends on the id alone, so that adding or removing a video changes one shard and no other.
    """
    return zlib.crc32(video_id.encode("utf-8", "surrogateescape")) % shards
