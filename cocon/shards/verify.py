"""Verifies a shard: format, tables, offsets and the checksum of every frame and video."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

from cocon.shards.format import VideoInfo
from cocon.shards.header import DamagedShardError, opened, pieces
from cocon.shards.tables import Contents, read_contents


def verify(path: Path) -> list[VideoInfo]:
    """Read the whole shard and compare every checksum.

    Returns:
        The rows of the video table.

    Raises:
        ShardError: naming the first error.
    """
    contents = read_contents(path)
    with opened(path) as descriptor:
        first = 0
        for row in contents.rows:
            if contents.checksums is None:
                begin, end = contents.offsets[[first, first + row.frames]] + contents.position
                crc32 = 0
                for piece in pieces(descriptor, int(begin), int(end)):
                    crc32 = zlib.crc32(piece, crc32)
            else:
                crc32 = _crc_of_frames(descriptor, path, contents, row, first)
            if crc32 != row.crc32:
                raise DamagedShardError(f"{path}: the checksum of video '{row.id}' is wrong")
            first += row.frames
    return contents.rows


def _crc_of_frames(descriptor: int, path: Path, contents: Contents, row: VideoInfo, first: int) -> int:
    """CRC-32 of a video whose frames have the right checksums; ``first`` is the first of them."""
    from cocon.shards.xxh64 import xxh64

    assert contents.checksums is not None
    crc = 0
    places = (contents.offsets[first : first + row.frames + 1] + contents.position).tolist()
    for number in range(row.frames):
        data = os.pread(descriptor, places[number + 1] - places[number], places[number])
        if xxh64(data) != contents.checksums[first + number]:
            raise DamagedShardError(f"{path}: frame {number} of video '{row.id}' is damaged")
        crc = zlib.crc32(data, crc)
    return crc
