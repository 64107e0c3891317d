"""Shards whose pixels say which frame they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cocon.shards import ShardSet, ShardWriter, VideoRecord
from cocon.shards.codecs import encode
from cocon.views import VIEWS

STEP = 5
"""Frame i has the value STEP * i everywhere (pose: at the keypoints)."""


def _record(view: str, video_id: str, frames: int, height: int, width: int) -> VideoRecord:
    size = {"height": height, "width": width, "source_height": height, "source_width": width, "fps": 16.0}
    if view == "pose":
        middle = [(width // 2 + 0.5) / width, (height // 2 + 0.5) / height]
        keypoints = [np.tile([*middle, STEP * i / 255], (1, 17, 1)).astype(np.float32) for i in range(frames)]
        return VideoRecord(video_id, keypoints=keypoints, **size)
    pictures = [np.full((height, width, VIEWS[view].channels), STEP * i, np.uint8) for i in range(frames)]
    return VideoRecord(video_id, frames=[encode(picture, 95) for picture in pictures], **size)


@pytest.fixture
def make_shards(tmp_path: Path) -> Callable[..., ShardSet]:
    """Writes one shard of a view with videos of the given lengths."""

    def make(view: str, lengths: dict[str, int], height: int = 24, width: int = 32) -> ShardSet:
        path = tmp_path / view / "00000.h5"
        codec = "keypoints" if view == "pose" else "jpeg"
        with ShardWriter(
            path, view=view, video_ids=list(lengths), parameters={"sigma": 1.5}, codec=codec
        ) as writer:
            for video_id, frames in lengths.items():
                writer.add(_record(view, video_id, frames, height, width))
            writer.finish()
        return ShardSet([path])

    return make
