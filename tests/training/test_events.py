from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

from cocon.training.events import EventFile, crc32c


def bitwise_crc32c(data: bytes) -> int:
    """The definition: long division by the polynomial, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        for bit in range(8):
            odd = (crc ^ byte >> bit) & 1
            crc = crc >> 1 ^ (0x82F63B78 if odd else 0)
    return crc ^ 0xFFFFFFFF


def fields(data: bytes) -> list[tuple[int, Any]]:
    """A protocol buffer as (field number, value)."""

    def varint(at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            byte = data[at]
            value, shift, at = value | (byte & 0x7F) << shift, shift + 7, at + 1
            if byte < 0x80:
                return value, at

    found, at = [], 0
    while at < len(data):
        key, at = varint(at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = varint(at)
        elif kind == 2:
            length, at = varint(at)
            value, at = data[at : at + length], at + length
        else:
            length = {1: 8, 5: 4}[kind]
            (value,) = struct.unpack("<d" if kind == 1 else "<f", data[at : at + length])
            at += length
        found.append((number, value))
    return found


def events(path: Path) -> list[dict[int, Any]]:
    data, found = path.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        parts = data[:8], data[12 : 12 + length]
        sums = data[8:12], data[12 + length : 16 + length]
        for part, coded in zip(parts, sums, strict=True):
            crc = bitwise_crc32c(part)
            assert struct.unpack("<I", coded)[0] == (((crc >> 15) | (crc << 17)) + 0xA282EAD8) % 2**32
        found.append(dict(fields(parts[1])))
        data = data[16 + length :]
    return found


def test_crc_of_the_standard() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # RFC 3720, and the check value of every catalogue
    assert crc32c(bytes(32)) == 0x8A9136AA


def test_scalars_can_be_read_by_the_format(tmp_path: Path) -> None:
    file = EventFile(tmp_path)
    file.scalars({"loss": 1.5, "cpc/rgb": -0.25}, 300)
    file.close()
    (path,) = tmp_path.glob("events.out.tfevents.*")
    version, event = events(path)
    assert version[3] == b"brain.Event:2"
    assert event[2] == 300
    values = [dict(fields(value)) for number, value in fields(event[5]) if number == 1]
    assert values == [{1: b"loss", 2: 1.5}, {1: b"cpc/rgb", 2: -0.25}]


def test_going_back_makes_later_steps_void(tmp_path: Path) -> None:
    EventFile(tmp_path, first_step=7).close()
    (path,) = tmp_path.glob("*")
    session = events(path)[1]
    assert session[2] == 7
    assert fields(session[7]) == [(1, 1)]


@pytest.mark.parametrize("step", [0, 127, 128, 2**40])
def test_steps_of_any_size(tmp_path: Path, step: int) -> None:
    file = EventFile(tmp_path)
    file.scalars({"a": 0.0}, step)
    file.close()
    (path,) = tmp_path.glob("*")
    assert events(path)[1][2] == step
