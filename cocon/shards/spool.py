"""Spools one video for a shard: frames are written to disk one by one."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from cocon.files import sync_folder
from cocon.shards.codecs import is_of
from cocon.shards.file_state import FileState
from cocon.shards.format import KEYPOINT_SHAPE, Codec, Status, VideoInfo

_INDEX = np.dtype([("length", "<i8"), ("checksum", "<u8")])


class VideoSpool:
    """Takes the frames of one video; see :meth:`cocon.shards.ShardWriter.video`.

    Memory use is a few bytes per frame. The file holds the frames, then their lengths and checksums; it gets
    its final name when it is complete and synced to disk.

    Args:
        video_id: id of the video.
        path: the file.
        codec: how frames are coded.
        source: the file that the video is read from.
        keep: called with the row of the finished video.

    Attributes:
        frames: how many were appended.
    """

    def __init__(
        self, video_id: str, path: Path, codec: Codec, source: FileState, keep: Callable[[VideoInfo], None]
    ) -> None:
        self._id, self._path, self._codec, self._source, self._keep = video_id, path, codec, source, keep
        self._part = path.with_name(f"{path.name}.part")
        self._lengths: list[int] = []
        self._checksums: list[int] = []
        self._crc32 = 0

    @property
    def frames(self) -> int:
        """Frames so far."""
        return len(self._lengths)

    def __enter__(self) -> Self:
        self._file = self._part.open("wb")
        return self

    def append(self, frame: bytes | np.ndarray) -> None:
        """Append the next frame.

        Args:
            frame: a coded picture; for the codec ``keypoints`` an array (persons, 17, 3) with x and y as
                fractions of the source's width and height, and the score.
        """
        if self._codec == "keypoints":
            frame = np.asarray(frame, "<f2").reshape(-1, *KEYPOINT_SHAPE).tobytes()
        elif not isinstance(frame, bytes) or not is_of(self._codec, frame):
            raise ValueError(f"this frame does not belong in a {self._codec} shard")
        self.append_stored(frame)

    def append_stored(self, frame: bytes) -> None:
        """Append the next frame as stored in another shard of this codec."""
        from cocon.shards.xxh64 import xxh64

        self._file.write(frame)
        self._crc32 = zlib.crc32(frame, self._crc32)
        self._lengths.append(len(frame))
        self._checksums.append(xxh64(frame))

    def commit(
        self,
        *,
        height: int,
        width: int,
        source_height: int,
        source_width: int,
        fps: float,
        status: Status = "ok",
        reason: str = "",
    ) -> None:
        """Finish the video and keep it. The arguments are those of its row.

        Raises:
            ValueError: when it has no frames.
        """
        if not self._lengths:
            raise ValueError(f"video '{self._id}' has no frames; skip it with a reason instead")
        index = np.empty(len(self._lengths), _INDEX)
        index["length"], index["checksum"] = self._lengths, np.array(self._checksums, np.uint64)
        self._file.write(index.tobytes())
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.replace(self._path)
        sync_folder(self._path.parent)
        self._keep(
            VideoInfo(
                self._id, self.frames, height, width, source_height, source_width,
                fps, status, reason, self._crc32, *self._source,
            )
        )  # fmt: skip

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()
        except OSError:
            if error is None:
                raise
        finally:
            self._part.unlink(missing_ok=True)


def read_index(path: Path, frames: int) -> np.ndarray | None:
    """``length`` and ``checksum`` of the frames of a spooled video; None when it is missing or incomplete."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            begin = size - frames * _INDEX.itemsize
            if begin < 0:
                return None
            file.seek(begin)
            index = np.frombuffer(file.read(), _INDEX)
    except FileNotFoundError:
        return None
    return index if len(index) == frames and index["length"].sum() == begin else None
