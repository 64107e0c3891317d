"""Reads the strings of a version 2 shard, which have variable length in HDF5's global heap.

HDF5 2.0 reads past the end of such strings, or loops forever, if their lengths were tampered with, so they
are parsed here. Later versions have none.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from typing import Any

from cocon.shards.header import SIZE

_HEAP = struct.Struct("<5s3xQ")
_OBJECT = struct.Struct("<H6xQ")
_STRING = struct.Struct("<IQI")
_ATTRIBUTE = rb"\x01\x00%b(?P<type>..)(?P<space>..)%b"
"""An attribute message of version 1: sizes of its name, type and space, and the name."""


def text_of(parts: Mapping[int, bytes], name: str) -> str:
    """The value of an attribute that is one string.

    Args:
        parts: the file without the frames, by position.
        name: of the attribute.

    Raises:
        ValueError: there is no such string.
    """
    size = struct.pack("<H", len(name) + 1)
    padded = name.encode().ljust(_up(len(name) + 1), b"\0")
    for content in parts.values():
        found = re.search(_ATTRIBUTE % (re.escape(size), re.escape(padded)), content, re.DOTALL)
        if found:
            sizes = [int.from_bytes(found[group], "little") for group in ("type", "space")]
            length, heap, number = _unpacked(_STRING, content, found.end() + sum(map(_up, sizes)))
            return _heap_object(parts, SIZE + heap, number)[:length].decode("utf-8", "surrogateescape")
    raise ValueError(f"it has no attribute {name}")


def _heap_object(parts: Mapping[int, bytes], address: int, wanted: int) -> bytes:
    begin, content = max((begin, content) for begin, content in parts.items() if begin <= address)
    position = address - begin
    magic, size = _unpacked(_HEAP, content, position)
    end = min(position + size, len(content))
    position += _HEAP.size
    while magic == b"GCOL\x01" and position + _OBJECT.size <= end:
        number, length = _unpacked(_OBJECT, content, position)
        position += _OBJECT.size
        if number == wanted and position + length <= end:
            return content[position : position + length]
        position += _up(length)
    raise ValueError("a string is at a wrong offset")


def _unpacked(what: struct.Struct, content: bytes, position: int) -> tuple[Any, ...]:
    try:
        return what.unpack_from(content, position)
    except (OverflowError, struct.error) as error:
        raise ValueError("the tables are cut off") from error


def _up(size: int) -> int:
    return -(-size // 8) * 8
