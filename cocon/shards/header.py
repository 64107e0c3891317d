"""The user block of a shard: 512 bytes before the HDF5 superblock that make damage visible.

HDF5 skips them. They hold the position of the frames, the file size, and the checksum of everything but the
frames; the frames have checksums per video. So HDF5 never parses a byte that has not been checked.
"""

from __future__ import annotations

import contextlib
import os
import stat
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from cocon.errors import ShardError

SIZE = 512
MAGIC = b"CoConSh\n"
_HDF5 = b"\x89HDF\r\n\x1a\n"
_FIELDS = struct.Struct("<8sIIQQQ")
_CHUNK = 1 << 22
_TABLES = 1 << 30
"""Most bytes besides the frames; a larger file is no shard. One with 100,000 videos has a tenth of it."""


class DamagedShardError(ShardError):
    """A damaged shard, which has to be made again."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "delete the file and run the workflow again; it makes the shard again")


class NotAShardError(ShardError):
    """A file without the header of a shard; it may belong to another program."""

    def __init__(self, message: str) -> None:
        super().__init__(
            message,
            "give shards only; if this is the place of one, delete the file and run the workflow again",
        )


@contextlib.contextmanager
def opened(path: Path) -> Iterator[int]:
    """The descriptor of a shard's file.

    Raises:
        ShardError: it is missing or cannot be opened or read, or is a folder, a pipe or a device.
    """
    try:
        # A pipe would block without a writer; for files it changes nothing.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise ShardError(f"there is no shard {path}", "run the extraction first") from error
    except OSError as error:
        raise ShardError(f"{path} cannot be opened ({error.strerror})") from error
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise ShardError(f"{path} is {'a folder' if stat.S_ISDIR(mode) else 'not a regular file'}")
        yield descriptor
    except OSError as error:
        raise ShardError(f"{path} cannot be read ({error.strerror})") from error
    finally:
        os.close(descriptor)


class ShardHeader(NamedTuple):
    """The content of the user block.

    Attributes:
        version: of the format.
        crc32: of the whole file without ``frames/data`` and without this number itself.
        file_size: bytes.
        position: of ``frames/data``, from the beginning of the file.
        size: bytes of ``frames/data``.
    """

    version: int
    crc32: int
    file_size: int
    position: int
    size: int

    @classmethod
    def read(cls, path: Path, versions: Sequence[int]) -> tuple[Self, bytes, bytes]:
        """Read and check the user block and everything else but the frames.

        Returns:
            The content of the user block, and the bytes of the file before and after its frames.

        Raises:
            ShardError: when the file is missing or cannot be read, is no shard, is of an unknown version,
                truncated or damaged.
        """
        with opened(path) as descriptor:
            return cls._read(descriptor, path, versions)

    @classmethod
    def _read(cls, descriptor: int, path: Path, versions: Sequence[int]) -> tuple[Self, bytes, bytes]:
        block = os.pread(descriptor, SIZE, 0)
        if block.startswith(_HDF5):
            raise NotAShardError(f"{path} is an HDF5 file, but not a shard of {_named(versions)}")
        if not block.startswith(MAGIC):
            raise NotAShardError(f"{path} is not a shard")
        if len(block) < SIZE:
            raise DamagedShardError(f"{path} is cut off")
        header = cls(*_FIELDS.unpack_from(block)[1:])
        if header.version not in versions:
            raise ShardError(
                f"{path} has format version {header.version}; this program reads {_named(versions)}",
                "use the version of this program that wrote it, or extract it again",
            )
        size = os.fstat(descriptor).st_size
        if size != header.file_size:
            raise DamagedShardError(f"{path} has {size} bytes instead of {header.file_size}")
        if not SIZE <= header.position <= header.position + header.size <= size:
            raise DamagedShardError(f"{path} is damaged: its frames lie outside of the file")
        if size - header.size > _TABLES:
            raise DamagedShardError(f"{path} is damaged: {size - header.size} of its bytes are not frames")
        front, back = header.around_frames(descriptor)
        if checksum(front, back) != header.crc32:
            raise DamagedShardError(f"{path} is damaged: the checksum of its tables is wrong")
        return header, front, back

    def around_frames(self, descriptor: int) -> tuple[bytes, bytes]:
        """The bytes of a file before and after its frames."""
        end = self.position + self.size
        front, back = pieces(descriptor, 0, self.position), pieces(descriptor, end, self.file_size)
        return b"".join(front), b"".join(back)

    def to_bytes(self) -> bytes:
        """The user block."""
        return _FIELDS.pack(MAGIC, *self).ljust(SIZE, b"\0")


def _named(versions: Sequence[int]) -> str:
    return "version " + " or ".join(map(str, versions))


def checksum(front: bytes, back: bytes) -> int:
    """CRC-32 of a file without its frames and without the place of this checksum in the user block."""
    return zlib.crc32(back, zlib.crc32(memoryview(front)[16:], zlib.crc32(front[:12])))


def pieces(descriptor: int, begin: int, end: int) -> Iterator[bytes]:
    """The bytes ``begin`` to ``end`` of a file, a few megabytes at a time."""
    while begin < end and (piece := os.pread(descriptor, min(_CHUNK, end - begin), begin)):
        yield piece
        begin += len(piece)
