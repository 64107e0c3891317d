"""The user block of a shard: 512 bytes before the HDF5 superblock that make damage visible.

HDF5 skips them. They say where the frames are, how long the file is, and the checksum of everything but the
frames; the frames have checksums per video. So HDF5 never parses a byte that has not been checked.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import NamedTuple, Self

from cocon.errors import ShardError

SIZE = 512
MAGIC = b"CoConSh\n"
_HDF5 = b"\x89HDF\r\n\x1a\n"
_FIELDS = struct.Struct("<8sIIQQQ")
_CHUNK = 1 << 22
REBUILD = "delete the file and run the workflow again; it makes the shard anew"


class ShardHeader(NamedTuple):
    """What the user block says.

    Attributes:
        version: of the format.
        crc32: of the whole file without ``frames/data``; of the user block, the bytes before this number and
            after it count.
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
    def read(cls, path: Path, version: int) -> Self:
        """Read and check the user block and everything else but the frames.

        Raises:
            ShardError: when the file is missing, no shard, of another version, cut off or damaged.
        """
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise ShardError(f"there is no shard {path}") from error
        except OSError as error:
            raise ShardError(f"{path} cannot be opened ({error.strerror})") from error
        try:
            return cls._read(descriptor, path, version)
        except OSError as error:
            raise ShardError(f"{path} cannot be read ({error.strerror})") from error
        finally:
            os.close(descriptor)

    @classmethod
    def _read(cls, descriptor: int, path: Path, version: int) -> Self:
        block = os.pread(descriptor, SIZE, 0)
        if block.startswith(_HDF5):
            raise ShardError(f"{path} is an HDF5 file, but not a shard of version {version}", REBUILD)
        if not block.startswith(MAGIC):
            raise ShardError(f"{path} is not a shard", REBUILD)
        if len(block) < SIZE:
            raise ShardError(f"{path} is cut off", REBUILD)
        header = cls(*_FIELDS.unpack_from(block)[1:])
        if header.version != version:
            raise ShardError(
                f"{path} has format version {header.version}; this program reads {version}", REBUILD
            )
        size = os.fstat(descriptor).st_size
        if size != header.file_size:
            raise ShardError(f"{path} has {size} bytes instead of {header.file_size}", REBUILD)
        if not SIZE <= header.position <= header.position + header.size <= size:
            raise ShardError(f"{path} is damaged: its frames lie outside of the file", REBUILD)
        if checksum(descriptor, header) != header.crc32:
            raise ShardError(f"{path} is damaged: the checksum of its tables is wrong", REBUILD)
        return header

    def to_bytes(self) -> bytes:
        """The user block."""
        return _FIELDS.pack(MAGIC, *self).ljust(SIZE, b"\0")


def checksum(descriptor: int, header: ShardHeader) -> int:
    """CRC-32 of the user block that ``header`` stands for, and of the rest of the file without the frames.

    The user block's own bytes are read from the file, with its checksum left out.
    """
    block = os.pread(descriptor, SIZE, 0)
    crc = zlib.crc32(block[:12])
    crc = zlib.crc32(block[16:], crc)
    crc = crc_of(descriptor, SIZE, header.position, crc)
    return crc_of(descriptor, header.position + header.size, header.file_size, crc)


def crc_of(descriptor: int, begin: int, end: int, crc: int = 0) -> int:
    """CRC-32 of the bytes ``begin`` to ``end`` of a file, read piece by piece."""
    while begin < end:
        piece = os.pread(descriptor, min(_CHUNK, end - begin), begin)
        if not piece:
            break
        crc = zlib.crc32(piece, crc)
        begin += len(piece)
    return crc
