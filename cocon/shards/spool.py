"""One video on its way into a shard: frames go to the disk one by one."""

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
from cocon.shards.format import KEYPOINT_SHAPE, Codec, Status, VideoInfo

_LENGTHS = np.dtype("<i8")


class VideoSpool:
    """Takes the frames of one video; see :meth:`cocon.shards.ShardWriter.video`.

    In memory are eight bytes per frame. The file holds the frames, then their lengths (int64); it gets its
    name when it is whole and on the disk.

    Attributes:
        frames: how many were appended.
    """

    def __init__(self, video_id: str, path: Path, codec: Codec, keep: Callable[[VideoInfo], None]) -> None:
        self._id, self._path, self._codec, self._keep = video_id, path, codec, keep
        self._part = path.with_name(f"{path.name}.part")
        self._lengths: list[int] = []
        self._crc32 = 0

    @property
    def frames(self) -> int:
        """Frames so far."""
        return len(self._lengths)

    def __enter__(self) -> Self:
        self._file = self._part.open("wb")
        return self

    def append(self, frame: bytes | np.ndarray) -> None:
        """Take the next frame.

        Args:
            frame: a coded picture; for the codec ``keypoints`` an array (persons, 17, 3) with x and y as
                fractions of the source's width and height, and the score.
        """
        if self._codec == "keypoints":
            frame = np.asarray(frame, "<f2").reshape(-1, *KEYPOINT_SHAPE).tobytes()
        elif not isinstance(frame, bytes) or not is_of(self._codec, frame):
            raise ValueError(f"this frame does not belong in a {self._codec} shard")
        self._file.write(frame)
        self._crc32 = zlib.crc32(frame, self._crc32)
        self._lengths.append(len(frame))

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
        """The video is whole: keep it. The arguments are those of its row.

        Raises:
            ValueError: when it has no frames.
        """
        if not self._lengths:
            raise ValueError(f"video '{self._id}' has no frames; skip it with a reason instead")
        self._file.write(np.array(self._lengths, _LENGTHS).tobytes())
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.replace(self._path)
        sync_folder(self._path.parent)
        self._keep(
            VideoInfo(
                self._id, self.frames, height, width, source_height, source_width,
                fps, status, reason, self._crc32,
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


def read_lengths(path: Path, frames: int) -> np.ndarray | None:
    """The lengths of the frames of a spooled video; None when the file is missing or not whole."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            begin = size - frames * _LENGTHS.itemsize
            if begin < 0:
                return None
            file.seek(begin)
            lengths = np.frombuffer(file.read(), _LENGTHS)
    except FileNotFoundError:
        return None
    return lengths if len(lengths) == frames and lengths.sum() == begin else None
