"""The loops of the reader, compiled by numba: they release the GIL and use one thread.

This module is imported at the first frame that needs it, because numba takes half a second to import.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

kernel = njit(cache=True, nogil=True, error_model="numpy")

_f4, _u4, _i4, _i2 = np.float32, np.uint32, np.int32, np.int16
_C1, _C2, _C3, _C5, _C6, _C7 = (_f4(math.cos(k * math.pi / 16)) for k in (1, 2, 3, 5, 6, 7))

#: blocks that are transformed side by side; their lines of 64 coefficients fit the first cache
LANES = 80
#: red from Cr, green from Cb and Cr, blue from Cb (JFIF, ITU-R BT.601)
_RED_V, _GREEN_U, _GREEN_V, _BLUE_U = _f4(1.402), _f4(-0.344136), _f4(-0.714136), _f4(1.772)


@kernel
def integrate(difference_N: np.ndarray, out_HX: np.ndarray) -> None:
    """Each row becomes the sum of the rows of differences down to it, modulo 256; both ``uint8``."""
    height, width = out_HX.shape
    total_X = np.zeros(width, np.uint8)
    for y in range(height):
        source_X, out_X = difference_N[y * width : (y + 1) * width], out_HX[y]
        for x in range(width):
            value = np.uint8(total_X[x] + source_X[x])
            total_X[x] = value
            out_X[x] = value


@kernel
def draw_gaussians(points_NJ3: np.ndarray, first_T: np.ndarray, sigma: float, out_THWJ: np.ndarray) -> None:
    """Draw persons ``first_T[t]`` to ``first_T[t + 1]`` into frame t, see :mod:`cocon.shards.heatmaps`."""
    frames, height, width, joints = out_THWJ.shape
    scale = _f4(-0.5 / (sigma * sigma))
    radius = math.ceil(sigma * math.sqrt(2 * math.log(510.0)))  # 255 exp(-r^2 / 2 sigma^2) = .5
    across = np.empty(2 * radius + 1, np.float32)
    for t in range(frames):
        for n in range(first_T[t], first_T[t + 1]):
            for j in range(joints):
                peak = _f4(255) * min(max(points_NJ3[n, j, 2], _f4(0)), _f4(1))
                x = points_NJ3[n, j, 0] * width - _f4(0.5)
                y = points_NJ3[n, j, 1] * height - _f4(0.5)
                near = -radius - 1 < x < width + radius and -radius - 1 < y < height + radius
                if not (peak > 0 and near):  # false for NaN, too
                    continue
                column, row = round(x), round(y)
                for k in range(2 * radius + 1):
                    distance = _f4(column - radius + k) - x
                    across[k] = math.exp(scale * distance * distance)
                for v in range(max(0, row - radius), min(height, row + radius + 1)):
                    distance = _f4(v) - y
                    down = peak * _f4(math.exp(scale * distance * distance))
                    for u in range(max(0, column - radius), min(width, column + radius + 1)):
                        value = np.uint8(down * across[u - column + radius] + _f4(0.5))
                        if value > out_THWJ[t, v, u, j]:
                            out_THWJ[t, v, u, j] = value


@njit(cache=True, nogil=True, fastmath=True)
def decode_dct(
    low_N: np.ndarray,
    first: int,
    last: int,
    wide_index: np.ndarray,
    wide_value: np.ndarray,
    scales: np.ndarray,
    out_HW3: np.ndarray,
) -> None:
    """Coefficients to a picture.

    Args:
        low_N: ``int8`` (64 * blocks); coefficient k (8 * vertical + horizontal frequency) of block b is
            ``low_N[k * blocks + b]``. Blocks of Y, Cb, Cr follow each other, k = 0 as differences from
            the block before.
        first: the coefficients ``first`` to ``last`` of the next two belong to this picture.
        last: see there.
        wide_index: ``int64``, where a coefficient does not fit eight bits.
        wide_value: ``int16``, its value.
        scales: ``float32`` (2, 64), what coefficients of luma and chroma are multiplied with; one of
            frequency 0 or 4 then counts 1 / sqrt(8), the others 1 / 2, per direction.
        out_HW3: ``uint8``, written.
    """
    height, width, _ = out_HW3.shape
    luma_YB = np.empty((8 * ((height + 7) // 8), (width + 7) // 8), np.uint64)
    blue_YB = np.empty((8 * ((height + 15) // 16), (width + 15) // 16), np.uint64)
    red_YB = np.empty_like(blue_YB)
    blocks, of_luma, of_chroma = len(low_N) // 64, luma_YB.size // 8, blue_YB.size // 8
    values = np.empty(len(low_N), np.int16)
    for n in range(len(values)):
        values[n] = _i2(low_N[n])
    for n in range(first, last):
        values[wide_index[n]] = wide_value[n]
    _inverse_dct(values, blocks, 0, of_luma, scales[0], luma_YB)
    _inverse_dct(values, blocks, of_luma, of_chroma, scales[1], blue_YB)
    _inverse_dct(values, blocks, of_luma + of_chroma, of_chroma, scales[1], red_YB)
    _ycc_to_rgb(luma_YB.view(np.uint8), blue_YB.view(np.uint8), red_YB.view(np.uint8), out_HW3)


@njit(nogil=True, fastmath=True)
def _inverse_dct(
    values: np.ndarray, stride: int, first: int, blocks: int, scale_K: np.ndarray, plane_YB: np.ndarray
) -> None:
    """The inverse cosine transform of a plane's blocks; each word of ``plane_YB`` gets eight pixels."""
    per_row = plane_YB.shape[1]
    total = _i4(0)
    for b in range(first, first + blocks):
        total += _i4(values[b])
        values[b] = _i2(total)
    lines = np.zeros(64 * LANES, np.float32)
    halves = np.zeros(2 * LANES, np.uint32)
    words = halves.view(np.uint64)
    for begin in range(0, blocks, LANES):
        count = min(LANES, blocks - begin)
        for k in range(64):
            factor = scale_K[k]
            source = values[k * stride + first + begin : k * stride + first + begin + count]
            target = lines[k * LANES : k * LANES + count]
            for b in range(count):
                target[b] = _f4(source[b]) * factor
        for u in range(8):
            _inverse_dct_8(lines, u * LANES, 8 * LANES)
        for v in range(8):
            _inverse_dct_8(lines, v * 8 * LANES, LANES)
        for y in range(8):
            _pack_8_pixels(lines[y * 8 * LANES : (y + 1) * 8 * LANES], halves)
            done = 0
            while done < count:
                row = (begin + done) // per_row
                column = begin + done - row * per_row
                length = min(per_row - column, count - done)
                target_B = plane_YB[row * 8 + y, column : column + length]
                for b in range(length):
                    target_B[b] = words[done + b]
                done += length


@njit(nogil=True, fastmath=True, inline="always")
def _inverse_dct_8(values: np.ndarray, start: int, step: int) -> None:
    """One-dimensional transforms of LANES blocks, in place: sample n of block b is at start + n step + b.

    The sum over cosines is split into even and odd frequencies, which have the same values, and opposite
    values, in the second half of the samples.
    """
    for b in range(LANES):
        i = start + b
        f0, f1, f2, f3 = values[i], values[i + step], values[i + 2 * step], values[i + 3 * step]
        f4, f5 = values[i + 4 * step], values[i + 5 * step]
        f6, f7 = values[i + 6 * step], values[i + 7 * step]
        outer, inner = f2 * _C2 + f6 * _C6, f2 * _C6 - f6 * _C2
        even0, even3 = f0 + f4 + outer, f0 + f4 - outer
        even1, even2 = f0 - f4 + inner, f0 - f4 - inner
        odd0 = _C1 * f1 + _C3 * f3 + _C5 * f5 + _C7 * f7
        odd1 = _C3 * f1 - _C7 * f3 - _C1 * f5 - _C5 * f7
        odd2 = _C5 * f1 - _C1 * f3 + _C7 * f5 + _C3 * f7
        odd3 = _C7 * f1 - _C5 * f3 + _C3 * f5 - _C1 * f7
        values[i], values[i + 7 * step] = even0 + odd0, even0 - odd0
        values[i + step], values[i + 6 * step] = even1 + odd1, even1 - odd1
        values[i + 2 * step], values[i + 5 * step] = even2 + odd2, even2 - odd2
        values[i + 3 * step], values[i + 4 * step] = even3 + odd3, even3 - odd3


@njit(nogil=True, fastmath=True)
def _pack_8_pixels(values: np.ndarray, halves: np.ndarray) -> None:
    """Eight pixels per block, each LANES values on, become the bytes of two little-endian ``uint32``."""
    for half in range(2):
        for b in range(LANES):
            word = _u4(0)
            for x in range(4):
                value = min(max(values[(4 * half + x) * LANES + b] + _f4(128.5), _f4(0)), _f4(255))
                word |= _u4(_i4(value)) << _u4(8 * x)
            halves[2 * b + half] = word


@njit(nogil=True, fastmath=True)
def _ycc_to_rgb(luma_YX: np.ndarray, blue_YX: np.ndarray, red_YX: np.ndarray, out_HW3: np.ndarray) -> None:
    """Y, Cb and Cr to red, green and blue, all ``uint8``; Cb and Cr have half the resolution.

    What chroma adds to luma is linear in it, so it is found at half the resolution and then doubled, first
    across, then down: 3/4 of the nearer sample and 1/4 of the farther one. It counts 32nds.
    """
    height, width, _ = out_HW3.shape
    half_height, half_width = (height + 1) // 2, (width + 1) // 2
    add_3YX = np.empty((3, half_height, 2 * half_width), np.int16)
    _chroma_to_rgb(blue_YX, red_YX, np.empty((3, half_width), np.int16), add_3YX)
    row_3X = np.empty((3, 2 * half_width), np.int16)
    red_X, green_X, blue_X = row_3X[0], row_3X[1], row_3X[2]
    for y in range(height):
        near = y // 2
        far = min(max(near - 1 + 2 * (y % 2), 0), half_height - 1)
        for c in range(3):
            for x in range(2 * half_width):
                row_3X[c, x] = _i2(_i2(_i2(3) * add_3YX[c, near, x] + add_3YX[c, far, x] + _i2(64)) >> _i2(7))
        luma_X, out_X = luma_YX[y], out_HW3[y].reshape(-1)
        for x in range(width):
            level = _i2(luma_X[x])
            out_X[3 * x] = np.uint8(min(max(_i2(level + red_X[x]), _i2(0)), _i2(255)))
            out_X[3 * x + 1] = np.uint8(min(max(_i2(level + green_X[x]), _i2(0)), _i2(255)))
            out_X[3 * x + 2] = np.uint8(min(max(_i2(level + blue_X[x]), _i2(0)), _i2(255)))


@njit(nogil=True, fastmath=True)
def _chroma_to_rgb(blue_YX: np.ndarray, red_YX: np.ndarray, half_3X: np.ndarray, add_3YX: np.ndarray) -> None:
    """What Cb and Cr add to red, green and blue, in 32nds, at twice their resolution across.

    ``half_3X`` is room for a row. + 8192.5 - 8192 rounds, because a positive number is cut off.
    """
    _, height, width = add_3YX.shape
    half = width // 2
    for y in range(height):
        for x in range(half):
            u, v = _f4(32) * (_f4(blue_YX[y, x]) - _f4(128)), _f4(32) * (_f4(red_YX[y, x]) - _f4(128))
            half_3X[0, x] = _i2(_i2(_RED_V * v + _f4(8192.5)) - _i2(8192))
            half_3X[1, x] = _i2(_i2(_GREEN_U * u + _GREEN_V * v + _f4(8192.5)) - _i2(8192))
            half_3X[2, x] = _i2(_i2(_BLUE_U * u + _f4(8192.5)) - _i2(8192))
        for c in range(3):
            add_3YX[c, y, 0], add_3YX[c, y, width - 1] = half_3X[c, 0], half_3X[c, half - 1]
            for x in range(half - 1):
                left, right = half_3X[c, x], half_3X[c, x + 1]
                add_3YX[c, y, 2 * x + 1] = _i2(_i2(_i2(3) * left + right + _i2(2)) >> _i2(2))
                add_3YX[c, y, 2 * x + 2] = _i2(_i2(left + _i2(3) * right + _i2(2)) >> _i2(2))
