"""Shards as a stranger may write them: whatever was changed, the checksum of the tables is right."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from cocon.shards import ShardWriter, VideoRecord
from cocon.shards.codecs import encode_as
from cocon.shards.format import VERSION

PICTURES = np.random.default_rng(0).integers(0, 256, (3, 12, 16, 1), np.uint8)


def write(path: Path) -> Path:
    """A shard of masks: a and b of three frames, c skipped."""
    with ShardWriter(path, view="mask", video_ids=["a", "b", "c"], parameters={}, codec="delta") as writer:
        for video_id in "ab":
            frames = [encode_as("delta", picture, 0) for picture in PICTURES]
            writer.add(VideoRecord(video_id, 12, 16, 24, 32, 25.0, frames=frames))
        writer.skip("c", "broken")
        writer.finish(0.5)
    return path


def sealed(content: bytes) -> bytes:
    """With the checksum that belongs to it."""
    position, size = struct.unpack_from("<QQ", content, 24)
    rest = content[16 : min(position, len(content))] + content[position + size :]
    return content[:12] + struct.pack("<I", zlib.crc32(content[:12] + rest)) + content[16:]


def edit(path: Path, change: Callable[[h5py.File], Any], **block: int) -> None:
    """Change what HDF5 shows of a shard, then write a user block that fits (but for ``block``)."""
    with h5py.File(path, "r+", locking=False) as file:
        change(file)
        data = file.get("frames/data")
        place = {"position": 512, "size": 0}
        if isinstance(data, h5py.Dataset) and data.id.get_offset() is not None:
            place = {"position": data.id.get_offset(), "size": len(data)}
    place |= block
    content = path.read_bytes()
    head = struct.pack("<8sIIQQQ", b"CoConSh\n", VERSION, 0, len(content), place["position"], place["size"])
    path.write_bytes(sealed(head.ljust(512, b"\0") + content[512:]))


def replace(name: str, values: Any, **options: Any) -> Callable[[h5py.File], None]:
    """A change: another data set of that name."""

    def change(file: h5py.File) -> None:
        del file[name]
        file.create_dataset(name, data=values, **options)

    return change
