from __future__ import annotations

import random

import numpy as np
import pytest

from cocon.shards.xxh64 import first_damaged, xxh64

M = 2**64 - 1
P1, P2, P3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
P4, P5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5


def slow(data: bytes) -> int:
    """The specification, step by step, in integers without a limit."""

    def rotated(value: int, bits: int) -> int:
        return (value << bits | value >> (64 - bits)) & M

    def round_(lane: int, word: int) -> int:
        return rotated((lane + word * P2) & M, 31) * P1 & M

    def number(size: int) -> int:
        nonlocal data
        word, data = data[:size], data[size:]
        return int.from_bytes(word, "little")

    total = len(data)
    if total >= 32:
        lanes = [(P1 + P2) & M, P2, 0, -P1 & M]
        while len(data) >= 32:
            lanes = [round_(lane, number(8)) for lane in lanes]
        value = sum(rotated(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18), strict=True)) & M
        for lane in lanes:
            value = ((value ^ round_(0, lane)) * P1 + P4) & M
    else:
        value = P5
    value = (value + total) & M
    while len(data) >= 8:
        value = (rotated(value ^ round_(0, number(8)), 27) * P1 + P4) & M
    if len(data) >= 4:
        value = (rotated(value ^ number(4) * P1 & M, 23) * P2 + P3) & M
    while data:
        value = rotated(value ^ number(1) * P5 & M, 11) * P1 & M
    value = (value ^ value >> 33) * P2 & M
    value = (value ^ value >> 29) * P3 & M
    return value ^ value >> 32


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"", 0xEF46DB3751D8E999), (b"a", 0xD24EC4F1A98C6E5B), (b"abc", 0x44BC2CF5AD770999)],
)
def test_published_values(data: bytes, expected: int) -> None:
    assert xxh64(data) == slow(data) == expected


def test_every_length() -> None:
    rng = random.Random(0)
    for length in [*range(100), 4096, 4099]:
        data = rng.randbytes(length)
        assert xxh64(data) == slow(data), length


def test_the_first_damaged_of_several() -> None:
    words = np.random.default_rng(0).integers(0, 2**63, 20, np.uint64)
    begins, sizes = np.array([0, 3, 10]), np.array([20, 56, 0])
    frames = [words.tobytes()[8 * b : 8 * b + size] for b, size in zip(begins, sizes, strict=True)]
    expected = np.array([xxh64(frame) for frame in frames], np.uint64)
    assert first_damaged(words, begins, sizes, expected) == -1
    expected[1:] += np.uint64(1)
    assert first_damaged(words, begins, sizes, expected) == 1
