"""XXH64 (seed 0), the checksum of a frame; takes a fifth of the time of zlib's CRC-32.

https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md. Imported at the first frame that needs it,
because numba takes half a second to import.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_u8 = np.uint64
_P1, _P2 = _u8(0x9E3779B185EBCA87), _u8(0xC2B2AE3D27D4EB4F)
_P3, _P4, _P5 = _u8(0x165667B19E3779F9), _u8(0x85EBCA77C2B2AE63), _u8(0x27D4EB2F165667C5)
_ZERO, _8, _32, _64 = _u8(0), _u8(8), _u8(32), _u8(64)


def xxh64(data: bytes) -> int:
    """The checksum of some bytes."""
    padded = data.ljust(-(-len(data) // 8) * 8, b"\0")
    return int(_hash(np.frombuffer(padded, "<u8"), 0, len(data)))


@njit(cache=True, nogil=True)
def first_damaged(words: np.ndarray, begin_T: np.ndarray, size_T: np.ndarray, expected_T: np.ndarray) -> int:
    """The first frame that has another checksum than expected; -1 when there is none.

    Args:
        words: ``uint64``, buffer that holds the frames.
        begin_T: ``int64``, the word with which each of T frames begins.
        size_T: ``int64``, bytes of each.
        expected_T: ``uint64``.
    """
    for t in range(len(begin_T)):
        if _hash(words, begin_T[t], size_T[t]) != expected_T[t]:
            return t
    return -1


@njit(nogil=True)
def _rotated(value: np.uint64, bits: np.uint64) -> np.uint64:
    return (value << bits) | (value >> (_64 - bits))


@njit(nogil=True)
def _round(lane: np.uint64, word: np.uint64) -> np.uint64:
    return _rotated(lane + word * _P2, _u8(31)) * _P1


@njit(cache=True, nogil=True)
def _hash(words: np.ndarray, begin: int, size: int) -> np.uint64:
    """Of ``size`` bytes from a word on."""
    words, at, end = words[begin : begin + (size + 7) // 8], 0, size // 8
    if size >= 32:
        a, b, c, d = _P1 + _P2, _P2, _ZERO, _ZERO - _P1
        for line in range(size // 32):  # an unsigned index skips the check for negative indices
            at = 4 * line
            a, b = _round(a, words[_u8(at)]), _round(b, words[_u8(at + 1)])
            c, d = _round(c, words[_u8(at + 2)]), _round(d, words[_u8(at + 3)])
        at = size // 32 * 4
        total = _rotated(a, _u8(1)) + _rotated(b, _u8(7)) + _rotated(c, _u8(12)) + _rotated(d, _u8(18))
        for lane in (a, b, c, d):
            total = (total ^ _round(_ZERO, lane)) * _P1 + _P4
    else:
        total = _P5
    total += _u8(size)
    while at < end:
        total = _rotated(total ^ _round(_ZERO, words[_u8(at)]), _u8(27)) * _P1 + _P4
        at += 1
    left = size % 8
    if left:
        word = words[_u8(end)]
        if left >= 4:
            total = _rotated(total ^ ((word & _u8(0xFFFFFFFF)) * _P1), _u8(23)) * _P2 + _P3
            word, left = word >> _32, left - 4
        while left:
            total = _rotated(total ^ ((word & _u8(0xFF)) * _P5), _u8(11)) * _P1
            word, left = word >> _8, left - 1
    total = (total ^ (total >> _u8(33))) * _P2
    total = (total ^ (total >> _u8(29))) * _P3
    return total ^ (total >> _32)
