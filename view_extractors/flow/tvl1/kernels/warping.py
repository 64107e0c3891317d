"""The data term of a warp in one kernel: median filter, warp and linearisation."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from view_extractors.flow.tvl1.kernels.options import ANY, FUSED

#: pixels per program of the kernel that linearises
_TILE = {"BLOCK_H": 4, "BLOCK_W": 64}

#: px; rho is larger than float16 holds where there is no gradient, and the bound on the step is then 0
_LARGEST = tl.constexpr(60000.0)

# mypy: disable-error-code="no-untyped-def"


@triton.jit
def _ordered(a, b):
    return tl.minimum(a, b), tl.maximum(a, b)


@triton.jit
def _median(a, b, c, d, e, f, g, h, i):
    """Median of nine: Paeth's network (Graphics Gems, 1990)."""
    b, c = _ordered(b, c)
    e, f = _ordered(e, f)
    h, i = _ordered(h, i)
    a, b = _ordered(a, b)
    d, e = _ordered(d, e)
    g, h = _ordered(g, h)
    b, c = _ordered(b, c)
    e, f = _ordered(e, f)
    h, i = _ordered(h, i)
    low = tl.maximum(tl.maximum(a, d), g)
    high = tl.minimum(tl.minimum(c, f), i)
    e, h = _ordered(e, h)
    middle = tl.minimum(tl.maximum(b, e), h)
    low, middle = _ordered(low, middle)
    return tl.maximum(low, tl.minimum(middle, high))


@triton.jit
def _filtered(plane, x, y, height, width, inside):
    """Median of the 3 × 3 pixels around each, with replicated borders."""
    left, right = tl.maximum(x - 1, 0), tl.minimum(x + 1, width - 1)
    above, here, below = tl.maximum(y - 1, 0) * width, y * width, tl.minimum(y + 1, height - 1) * width
    return _median(
        tl.load(plane + above + left, inside, 0.0),
        tl.load(plane + above + x, inside, 0.0),
        tl.load(plane + above + right, inside, 0.0),
        tl.load(plane + here + left, inside, 0.0),
        tl.load(plane + here + x, inside, 0.0),
        tl.load(plane + here + right, inside, 0.0),
        tl.load(plane + below + left, inside, 0.0),
        tl.load(plane + below + x, inside, 0.0),
        tl.load(plane + below + right, inside, 0.0),
    )


@triton.jit
def _cubic(t, TAP: tl.constexpr):
    """Weight of one of four taps, Keys' kernel with a = -3/4."""
    s = 1 - t
    if TAP == 0:
        return -0.75 * t * s * s
    elif TAP == 1:
        return (1.25 * t - 2.25) * t * t + 1
    elif TAP == 2:
        return (1.25 * s - 2.25) * s * s + 1
    else:
        return -0.75 * s * t * t


@triton.jit(**ANY)
def _linearise(
    pairs, flow, filtered, first, second, data, height, width, weight,
    MEDIAN: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_W: tl.constexpr,
):  # fmt: skip
    """Median filter of the flow, warp of the second picture, linearised data term: see batched.py."""
    columns = tl.cdiv(width, BLOCK_W)
    tiles = columns * tl.cdiv(height, BLOCK_H)
    program = tl.program_id(0)
    pair = tl.load(pairs + program // tiles).to(tl.int64)
    tile = program % tiles
    x = tile % columns * BLOCK_W + tl.arange(0, BLOCK_W)[None, :]
    y = tile // columns * BLOCK_H + tl.arange(0, BLOCK_H)[:, None]
    inside = (x < width) & (y < height)
    plane = height * width
    here = y * width + x
    flow += pair * 2 * plane
    filtered += pair * 2 * plane
    first += pair * plane
    second += pair * 3 * plane
    data += pair * 4 * plane
    if MEDIAN:
        u = _filtered(flow, x, y, height, width, inside)
        v = _filtered(flow + plane, x, y, height, width, inside)
    else:
        u = tl.load(flow + here, inside, 0.0)
        v = tl.load(flow + plane + here, inside, 0.0)
    tl.store(filtered + here, u, inside)
    tl.store(filtered + plane + here, v, inside)
    to_x = tl.minimum(tl.maximum(x + u, -2.0), width + 1.0)
    to_y = tl.minimum(tl.maximum(y + v, -2.0), height + 1.0)
    column, row = tl.floor(to_x), tl.floor(to_y)
    s, t = to_x - column, to_y - row
    column, row = column.to(tl.int32), row.to(tl.int32)
    value = tl.zeros((BLOCK_H, BLOCK_W), tl.float32)
    gx = tl.zeros((BLOCK_H, BLOCK_W), tl.float32)
    gy = tl.zeros((BLOCK_H, BLOCK_W), tl.float32)
    for j in tl.static_range(4):
        start = tl.minimum(tl.maximum(row + (j - 1), 0), height - 1) * width
        for i in tl.static_range(4):
            pixel = start + tl.minimum(tl.maximum(column + (i - 1), 0), width - 1)
            both = _cubic(s, i) * _cubic(t, j)
            value += tl.load(second + pixel, inside, 0.0) * both
            gx += tl.load(second + plane + pixel, inside, 0.0) * both
            gy += tl.load(second + 2 * plane + pixel, inside, 0.0) * both
    square = gx * gx + gy * gy
    inverse = 1 / tl.sqrt(tl.maximum(square, 1e-6))
    nx, ny = gx * inverse, gy * inverse
    rho = (value - tl.load(first + here, inside, 0.0)) * inverse - (nx * u + ny * v)
    tl.store(data + here, tl.minimum(tl.maximum(rho, -_LARGEST), _LARGEST), inside)
    tl.store(data + plane + here, nx, inside)
    tl.store(data + 2 * plane + here, ny, inside)
    tl.store(data + 3 * plane + here, weight * square * inverse, inside)


def linearise(
    pairs: Tensor, flow: Tensor, filtered: Tensor, first: Tensor, second: Tensor, data: Tensor,
    weight: float, median: bool,
) -> None:  # fmt: skip
    """Fill ``filtered`` and ``data``.

    Args:
        pairs: ``int32``, the pairs to work on.
        flow: (B, 2, H, W), px.
        filtered: its median of 3 × 3 pixels, if ``median``, else the same.
        first: (B, 1, H, W), the first pictures.
        second: (B, 3, H, W), the second ones and their gradients.
        data: (B, 4, H, W).
        weight: lambda · theta.
        median: whether to filter.
    """
    height, width = flow.shape[2:]
    tiles = triton.cdiv(height, _TILE["BLOCK_H"]) * triton.cdiv(width, _TILE["BLOCK_W"])
    grid = (tiles * len(pairs),)
    _linearise[grid](
        pairs, flow, filtered, first, second, data, height, width, weight, MEDIAN=median,
        num_warps=4, **_TILE, **FUSED,
    )  # fmt: skip
