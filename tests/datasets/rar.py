"""Writes rar archives of version 4 whose members are stored, not compressed.

After the public description of the format (technote.txt of RAR 3 and 4): every block has a CRC of its header
(the lower half of a CRC-32), a type, flags and its header's size; a file block is followed by the data.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

import pytest

from cocon.datasets.archives import check_reader
from cocon.errors import DatasetError

_MARKER = b"Rar!\x1a\x07\x00"
_MAIN, _FILE, _END = 0x73, 0x74, 0x7B
_HAS_DATA, _UNIX, _VERSION, _STORED = 0x8000, 3, 20, 0x30
_TIME = 0x43210000  # MS-DOS: 2013-09-01

try:
    check_reader(".rar")
    READABLE = True
except DatasetError:
    READABLE = False


def rar(files: Mapping[str, bytes], *, mode: int = 0o100644) -> bytes:
    """An archive of files by name; ``mode`` is that of Unix, with the kind of file in it."""
    if not READABLE:
        pytest.skip("this machine has no libarchive to read rar archives with")
    parts = [_MARKER, _block(_MAIN, 0, bytes(6))]
    for name, content in files.items():
        coded = name.encode()
        head = struct.pack(
            "<IIBIIBBHI",
            len(content),
            len(content),
            _UNIX,
            zlib.crc32(content),
            _TIME,
            _VERSION,
            _STORED,
            len(coded),
            mode,
        )
        parts += [_block(_FILE, _HAS_DATA, head + coded), content]
    return b"".join([*parts, _block(_END, 0x4000, b"")])


def hmdb51_archives(videos: Mapping[str, bytes], lists: Mapping[str, bytes]) -> tuple[bytes, bytes]:
    """hmdb51_org.rar, a rar per class, and test_train_splits.rar, all lists in one folder.

    Args:
        videos: by ``<class>/<name>``.
        lists: by ``<class>_test_split<number>.txt``.
    """
    by_class: dict[str, dict[str, bytes]] = {}
    for name, content in videos.items():
        by_class.setdefault(name.partition("/")[0], {})[name] = content
    classes = {f"{label}.rar": rar(members) for label, members in by_class.items()}
    return rar(classes), rar({f"testTrainMulti_7030_splits/{name}": text for name, text in lists.items()})


def _block(kind: int, flags: int, head: bytes) -> bytes:
    body = struct.pack("<BHH", kind, flags, 7 + len(head)) + head
    return struct.pack("<H", zlib.crc32(body) & 0xFFFF) + body
