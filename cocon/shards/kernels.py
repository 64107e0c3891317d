"""The inner loops of the reader, compiled by numba; they release the GIL and use one thread.

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
                        out_THWJ[t, v, u, j] = max(out_THWJ[t, v, u, j], value)


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
    of_luma = (height + 7) // 8 * ((width + 7) // 8)
    of_chroma = (height + 15) // 16 * ((width + 15) // 16)
    blocks = of_luma + 2 * of_chroma
    values = np.empty(len(low_N) + LANES, np.int16)  # the last lanes of a plane may extend beyond it
    for n in range(len(low_N)):
        values[n] = _i2(low_N[n])
    values[len(low_N) :] = 0
    for n in range(first, last):
        values[wide_index[n]] = wide_value[n]
    _add_up(values[:of_luma])
    _add_up(values[of_luma : of_luma + of_chroma])
    _add_up(values[of_luma + of_chroma : blocks])
    luma_8B = np.empty((8, of_luma + LANES), np.uint64)
    chroma_8B = np.empty((8, 2 * of_chroma + LANES), np.uint64)
    _inverse_dct(values, blocks, 0, of_luma, scales[0], luma_8B)
    _inverse_dct(values, blocks, of_luma, 2 * of_chroma, scales[1], chroma_8B)
    chroma_8X = chroma_8B.view(np.uint8)
    _ycc_to_rgb(luma_8B.view(np.uint8), chroma_8X, chroma_8X[:, 8 * of_chroma :], out_HW3)


@njit(nogil=True, fastmath=True)
def _add_up(values_B: np.ndarray) -> None:
    """Differences from the block before become values, in place."""
    total = _i4(0)
    for b in range(len(values_B)):
        total += _i4(values_B[b])
        values_B[b] = _i2(total)


@njit(nogil=True, fastmath=True)
def _inverse_dct(
    values: np.ndarray, stride: int, first: int, blocks: int, scale_K: np.ndarray, plane_8B: np.ndarray
) -> None:
    """The inverse cosine transform of ``blocks`` blocks from ``first`` on.

    Row y of ``plane_8B`` gets row y of every block, eight pixels in a word. So the row of pixels 8 r + y of a
    plane is a part of row y: as many words as there are blocks side by side, from block row r on. LANES
    blocks are done at a time; the values behind the last block are undefined, and there must be room for
    them.
    """
    lines = np.empty(64 * LANES, np.float32)
    for begin in range(0, blocks, LANES):
        for u in range(8):
            _transform_columns(values, u * stride + first + begin, 8 * stride, scale_K[u::8], lines, u)
        for v in range(8):
            _transform_rows(lines, v * 8 * LANES)
        for y in range(8):
            halves = plane_8B[y, begin : begin + LANES].view(np.uint32)
            _pack_8_pixels(lines[y * 8 * LANES : (y + 1) * 8 * LANES], halves)


@njit(nogil=True, fastmath=True, inline="always")
def _transform_columns(
    values: np.ndarray, start: int, step: int, scale_8: np.ndarray, lines: np.ndarray, u: int
) -> None:
    """Transforms of the coefficients of the horizontal frequency u, after they have been scaled.

    Those of the vertical frequency v begin at ``values[start + v step]``; sample y goes to row 8 y + u of
    ``lines``. See :func:`_transform_rows`. The slices spare the compiler a check of every index.
    """
    s0, s1, s2, s3 = scale_8[0], scale_8[1], scale_8[2], scale_8[3]
    s4, s5, s6, s7 = scale_8[4], scale_8[5], scale_8[6], scale_8[7]
    end = start + LANES
    v0, v1 = values[start:end], values[start + step : end + step]
    v2, v3 = values[start + 2 * step : end + 2 * step], values[start + 3 * step : end + 3 * step]
    v4, v5 = values[start + 4 * step : end + 4 * step], values[start + 5 * step : end + 5 * step]
    v6, v7 = values[start + 6 * step : end + 6 * step], values[start + 7 * step : end + 7 * step]
    to = 8 * LANES
    for b in range(LANES):
        i = u * LANES + b
        f0, f1, f2, f3 = _f4(v0[b]) * s0, _f4(v1[b]) * s1, _f4(v2[b]) * s2, _f4(v3[b]) * s3
        f4, f5, f6, f7 = _f4(v4[b]) * s4, _f4(v5[b]) * s5, _f4(v6[b]) * s6, _f4(v7[b]) * s7
        outer, inner = f2 * _C2 + f6 * _C6, f2 * _C6 - f6 * _C2
        even0, even3 = f0 + f4 + outer, f0 + f4 - outer
        even1, even2 = f0 - f4 + inner, f0 - f4 - inner
        odd0 = _C1 * f1 + _C3 * f3 + _C5 * f5 + _C7 * f7
        odd1 = _C3 * f1 - _C7 * f3 - _C1 * f5 - _C5 * f7
        odd2 = _C5 * f1 - _C1 * f3 + _C7 * f5 + _C3 * f7
        odd3 = _C7 * f1 - _C5 * f3 + _C3 * f5 - _C1 * f7
        lines[i], lines[i + 7 * to] = even0 + odd0, even0 - odd0
        lines[i + to], lines[i + 6 * to] = even1 + odd1, even1 - odd1
        lines[i + 2 * to], lines[i + 5 * to] = even2 + odd2, even2 - odd2
        lines[i + 3 * to], lines[i + 4 * to] = even3 + odd3, even3 - odd3


@njit(nogil=True, fastmath=True, inline="always")
def _transform_rows(lines: np.ndarray, start: int) -> None:
    """One-dimensional transforms of LANES blocks, in place: sample n of block b is at start + n LANES + b.

    The sum over cosines is split into even and odd frequencies, which have the same values, and opposite
    values, in the second half of the samples.
    """
    for b in range(LANES):
        i = start + b
        f0, f1, f2, f3 = lines[i], lines[i + LANES], lines[i + 2 * LANES], lines[i + 3 * LANES]
        f4, f5 = lines[i + 4 * LANES], lines[i + 5 * LANES]
        f6, f7 = lines[i + 6 * LANES], lines[i + 7 * LANES]
        outer, inner = f2 * _C2 + f6 * _C6, f2 * _C6 - f6 * _C2
        even0, even3 = f0 + f4 + outer, f0 + f4 - outer
        even1, even2 = f0 - f4 + inner, f0 - f4 - inner
        odd0 = _C1 * f1 + _C3 * f3 + _C5 * f5 + _C7 * f7
        odd1 = _C3 * f1 - _C7 * f3 - _C1 * f5 - _C5 * f7
        odd2 = _C5 * f1 - _C1 * f3 + _C7 * f5 + _C3 * f7
        odd3 = _C7 * f1 - _C5 * f3 + _C3 * f5 - _C1 * f7
        lines[i], lines[i + 7 * LANES] = even0 + odd0, even0 - odd0
        lines[i + LANES], lines[i + 6 * LANES] = even1 + odd1, even1 - odd1
        lines[i + 2 * LANES], lines[i + 5 * LANES] = even2 + odd2, even2 - odd2
        lines[i + 3 * LANES], lines[i + 4 * LANES] = even3 + odd3, even3 - odd3


@njit(nogil=True, fastmath=True)
def _pack_8_pixels(values: np.ndarray, halves: np.ndarray) -> None:
    """Eight pixels per block, each LANES values on, become the bytes of two little-endian ``uint32``."""
    for b in range(LANES):
        low = high = _u4(0)
        for x in range(4):
            value = min(max(values[x * LANES + b] + _f4(128.5), _f4(0)), _f4(255))
            low |= _u4(_i4(value)) << _u4(8 * x)
            value = min(max(values[(4 + x) * LANES + b] + _f4(128.5), _f4(0)), _f4(255))
            high |= _u4(_i4(value)) << _u4(8 * x)
        halves[2 * b], halves[2 * b + 1] = low, high


@njit(nogil=True, fastmath=True)
def _ycc_to_rgb(luma_8X: np.ndarray, blue_8X: np.ndarray, red_8X: np.ndarray, out_HW3: np.ndarray) -> None:
    """Y, Cb and Cr to red, green and blue, all ``uint8``; Cb and Cr have half the resolution.

    The planes lie as :func:`_inverse_dct` leaves them.

    What chroma adds to luma is linear in it, so it is found at half the resolution and then doubled, first
    across, then down: 3/4 of the nearer sample and 1/4 of the farther one. It counts 32nds.
    """
    height, width, _ = out_HW3.shape
    half_height, half_width = (height + 1) // 2, (width + 1) // 2
    add_3YX = np.empty((3, half_height, 2 * half_width), np.int16)
    _chroma_to_rgb(blue_8X, red_8X, np.empty((3, half_width), np.int16), add_3YX)
    row_3X = np.empty((3, 2 * half_width), np.int16)
    red_X, green_X, blue_X = row_3X[0], row_3X[1], row_3X[2]
    for y in range(height):
        near = y // 2
        far = min(max(near - 1 + 2 * (y % 2), 0), half_height - 1)
        for c in range(3):
            for x in range(2 * half_width):
                row_3X[c, x] = _i2(_i2(_i2(3) * add_3YX[c, near, x] + add_3YX[c, far, x] + _i2(64)) >> _i2(7))
        luma_X, out_X = _row_of(luma_8X, y, width), out_HW3[y].reshape(-1)
        for x in range(width):
            level = _i2(luma_X[x])
            out_X[3 * x] = np.uint8(min(max(_i2(level + red_X[x]), _i2(0)), _i2(255)))
            out_X[3 * x + 1] = np.uint8(min(max(_i2(level + green_X[x]), _i2(0)), _i2(255)))
            out_X[3 * x + 2] = np.uint8(min(max(_i2(level + blue_X[x]), _i2(0)), _i2(255)))


@njit(nogil=True, inline="always")
def _row_of(plane_8X: np.ndarray, y: int, width: int) -> np.ndarray:
    """Row y of a plane of this width in pixels, as :func:`_inverse_dct` leaves it."""
    return plane_8X[y % 8, y // 8 * (8 * ((width + 7) // 8)) :][:width]


@njit(nogil=True, fastmath=True)
def _chroma_to_rgb(blue_8X: np.ndarray, red_8X: np.ndarray, half_3X: np.ndarray, add_3YX: np.ndarray) -> None:
    """What Cb and Cr add to red, green and blue, in 32nds, at twice their resolution across.

    ``half_3X`` is room for a row. + 8192.5 - 8192 rounds, because a positive number is cut off.
    """
    _, height, width = add_3YX.shape
    half = width // 2
    for y in range(height):
        blue_X, red_X = _row_of(blue_8X, y, half), _row_of(red_8X, y, half)
        for x in range(half):
            u, v = _f4(32) * (_f4(blue_X[x]) - _f4(128)), _f4(32) * (_f4(red_X[x]) - _f4(128))
            half_3X[0, x] = _i2(_i2(_RED_V * v + _f4(8192.5)) - _i2(8192))
            half_3X[1, x] = _i2(_i2(_GREEN_U * u + _GREEN_V * v + _f4(8192.5)) - _i2(8192))
            half_3X[2, x] = _i2(_i2(_BLUE_U * u + _f4(8192.5)) - _i2(8192))
        for c in range(3):
            add_3YX[c, y, 0], add_3YX[c, y, width - 1] = half_3X[c, 0], half_3X[c, half - 1]
            for x in range(half - 1):
                left, right = half_3X[c, x], half_3X[c, x + 1]
                add_3YX[c, y, 2 * x + 1] = _i2(_i2(_i2(3) * left + right + _i2(2)) >> _i2(2))
                add_3YX[c, y, 2 * x + 2] = _i2(_i2(left + _i2(3) * right + _i2(2)) >> _i2(2))
