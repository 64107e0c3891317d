"""TensorBoard's event files, as far as curves need them: no dependency, no import that takes seconds.

A file is a sequence of records: length (8 bytes), masked CRC-32C of the length, data, masked CRC-32C of the
data, all little-endian; the data are a protocol buffer ``Event``.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Mapping
from pathlib import Path

_POLYNOMIAL = 0x82F63B78  # CRC-32C (Castagnoli), reflected
_START = 1  # SessionLog.START


def _table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ _POLYNOMIAL * (value & 1)
        table.append(value)
    return table


_TABLE = _table()


def crc32c(data: bytes) -> int:
    """CRC-32C of some bytes."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


class EventFile:
    """Appends scalars to a new file ``events.out.tfevents.*``.

    Args:
        folder: where TensorBoard is to find it.
        first_step: what earlier files in the folder say about this step and later ones is void, because the
            run went back to its last checkpoint.
    """

    def __init__(self, folder: Path, first_step: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        now = time.time()
        name = f"events.out.tfevents.{int(now)}.{socket.gethostname()}.{os.getpid()}.{time.monotonic_ns()}"
        self._file = (folder / name).open("wb")
        self._record(now, 0, _bytes_field(3, b"brain.Event:2"))
        if first_step:
            self._record(now, first_step, _bytes_field(7, _varint_field(1, _START)))

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Add one point to each of the named curves."""
        summary = b"".join(
            _bytes_field(1, _bytes_field(1, tag.encode()) + _key(2, 5) + struct.pack("<f", value))
            for tag, value in values.items()
        )
        self._record(time.time(), step, _bytes_field(5, summary))
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _record(self, when: float, step: int, what: bytes) -> None:
        data = _key(1, 1) + struct.pack("<d", when) + _varint_field(2, step) + what
        length = struct.pack("<Q", len(data))
        self._file.write(length + _checksum(length) + data + _checksum(data))


def _checksum(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _varint(value: int) -> bytes:
    coded = bytearray()
    while value > 0x7F:
        coded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*coded, value])


def _key(field: int, wire_type: int) -> bytes:
    return _varint(field << 3 | wire_type)


def _varint_field(field: int, value: int) -> bytes:
    return _key(field, 0) + _varint(value)


def _bytes_field(field: int, value: bytes) -> bytes:
    return _key(field, 2) + _varint(len(value)) + value
