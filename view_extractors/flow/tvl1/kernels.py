"""The fused kernels of TV-L1 in Triton, and how they are launched.

All planes are float32 and contiguous, (pairs, channels, H, W): flow u, v; dual ux, vx, uy, vy (of u and v in
x, in y); data rho, nx, ny, bound, see :func:`view_extractors.flow.tvl1.warping.linearise`. ``pairs`` names
those that are worked on, in any order; the others are left as they are. What a pair gets does not depend on
which others there are: programs are laid out by the picture's size alone.

An iteration reads flow, dual and data (10 planes) and writes flow and dual (6): 64 bytes per pixel, if each
is a launch of its own. :data:`DEPTH` of them in one launch take a quarter of that, and the margins: 19 bytes.

Importing this imports Triton.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

#: iterations of one launch, at most
DEPTH = 4
#: columns of a strip, margins included; a warp of 32 threads walks down each
_STRIP = 64
#: rows that a program walks down, about; the margins come on top
_ROWS = 60
#: pixels per program of the kernel that linearises
_TILE = {"BLOCK_H": 4, "BLOCK_W": 64}
#: compiled once for any numbers, and for planes anywhere in memory
_ANY: dict[str, Any] = {
    "do_not_specialize": ["height", "width", "rows", "parts"],
    "do_not_specialize_on_alignment": [
        "pairs", "flow", "dual", "data", "filtered", "first", "second", "new_flow", "new_dual", "before",
        "changes", "moves",
    ],
}  # fmt: skip
#: products and sums are fused into one operation; Triton's own default depends on its version
_FUSED = {"enable_fp_fusion": True}

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


@triton.jit(**_ANY)
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
    tl.store(data + here, rho, inside)
    tl.store(data + plane + here, nx, inside)
    tl.store(data + 2 * plane + here, ny, inside)
    tl.store(data + 3 * plane + here, weight * square * inverse, inside)


@triton.jit
def _advance(y, x, height, width, theta, rate, old, row):
    """One iteration (Zach et al., eq. 13 to 15), a row at a time.

    ``row`` is row y before the iteration. ``old`` is row y - 1, of which the flow is through the iteration
    already and the dual is not. Returns row y - 1 after the iteration, and what is the next row's ``old``.
    """
    u_old, v_old, ux_old, vx_old, uy_old, vy_old, rho_old, nx_old, ny_old, bound_old = old
    u, v, ux, vx, uy, vy, rho, nx, ny, bound = row
    last = x.shape[0] - 1
    lane = tl.arange(0, x.shape[0])
    left, right = tl.maximum(lane - 1, 0), tl.minimum(lane + 1, last)
    step = tl.minimum(tl.maximum(-(rho + nx * u + ny * v), -bound), bound)
    u += step * nx + theta * (ux - tl.gather(ux, left, 0) + uy - uy_old)
    v += step * ny + theta * (vx - tl.gather(vx, left, 0) + vy - vy_old)
    # No difference leads across the border, nor is there any dual outside.
    x_inner, y_inner = (x >= 0) & (x < width - 1), (y > 0) & (y < height)
    dux = tl.where(x_inner, tl.gather(u_old, right, 0) - u_old, 0.0)
    dvx = tl.where(x_inner, tl.gather(v_old, right, 0) - v_old, 0.0)
    duy = tl.where(y_inner, u - u_old, 0.0)
    dvy = tl.where(y_inner, v - v_old, 0.0)
    u_scale = 1 / (1 + rate * tl.sqrt(dux * dux + duy * duy))
    v_scale = 1 / (1 + rate * tl.sqrt(dvx * dvx + dvy * dvy))
    done = (
        u_old, v_old,
        (ux_old + rate * dux) * u_scale, (vx_old + rate * dvx) * v_scale,
        (uy_old + rate * duy) * u_scale, (vy_old + rate * dvy) * v_scale,
        rho_old, nx_old, ny_old, bound_old,
    )  # fmt: skip
    return done, (u, v, ux, vx, uy, vy, rho, nx, ny, bound)


@triton.jit(**_ANY)
def _iterate(
    pairs, flow, dual, data, new_flow, new_dual, before, changes, height, width, rows, theta, rate,
    DEPTH: tl.constexpr, STRIP: tl.constexpr, MEASURE: tl.constexpr,
):  # fmt: skip
    """DEPTH iterations in one pass over memory.

    A program walks down a strip of columns. Of each iteration it holds the row before in registers, so that
    row y enters while row y - DEPTH leaves. The strip overlaps its neighbours by DEPTH columns and rows on
    each side, in which the error of not knowing what is outside advances by one pixel per iteration.
    """
    strips, parts = tl.cdiv(width, STRIP - 2 * DEPTH), tl.cdiv(height, rows)
    program = tl.program_id(0)
    pair = tl.load(pairs + program // (strips * parts)).to(tl.int64)
    place = program % (strips * parts)
    begin = place // strips * rows
    end = tl.minimum(begin + rows, height)
    lane = tl.arange(0, STRIP)
    x = place % strips * (STRIP - 2 * DEPTH) - DEPTH + lane
    plane = height * width
    in_row = (x >= 0) & (x < width)
    mine = in_row & (lane >= DEPTH) & (lane < STRIP - DEPTH)
    flow += pair * 2 * plane
    dual += pair * 4 * plane
    data += pair * 4 * plane
    new_flow += pair * 2 * plane
    new_dual += pair * 4 * plane
    before += pair * 2 * plane
    none = tl.zeros((STRIP,), tl.float32)
    first = (none, none, none, none, none, none, none, none, none, none)
    second = (none, none, none, none, none, none, none, none, none, none)
    third = (none, none, none, none, none, none, none, none, none, none)
    fourth = (none, none, none, none, none, none, none, none, none, none)
    change = none
    for row_number in range(begin - DEPTH, end + DEPTH):
        y = tl.zeros((STRIP,), tl.int32) + row_number
        there = in_row & (y >= 0) & (y < height)
        here = y * width + x
        row = (
            tl.load(flow + here, there, 0.0),
            tl.load(flow + plane + here, there, 0.0),
            tl.load(dual + here, there, 0.0),
            tl.load(dual + plane + here, there, 0.0),
            tl.load(dual + 2 * plane + here, there, 0.0),
            tl.load(dual + 3 * plane + here, there, 0.0),
            tl.load(data + here, there, 0.0),
            tl.load(data + plane + here, there, 0.0),
            tl.load(data + 2 * plane + here, there, 0.0),
            tl.load(data + 3 * plane + here, there, 0.0),
        )
        row, first = _advance(y, x, height, width, theta, rate, first, row)
        if DEPTH > 1:
            row, second = _advance(y - 1, x, height, width, theta, rate, second, row)
        if DEPTH > 2:
            row, third = _advance(y - 2, x, height, width, theta, rate, third, row)
        if DEPTH > 3:
            row, fourth = _advance(y - 3, x, height, width, theta, rate, fourth, row)
        u, v, ux, vx, uy, vy, _, _, _, _ = row
        here -= DEPTH * width
        kept = mine & (y - DEPTH >= begin)
        tl.store(new_flow + here, u, kept)
        tl.store(new_flow + plane + here, v, kept)
        tl.store(new_dual + here, ux, kept)
        tl.store(new_dual + plane + here, vx, kept)
        tl.store(new_dual + 2 * plane + here, uy, kept)
        tl.store(new_dual + 3 * plane + here, vy, kept)
        if MEASURE:
            du = u - tl.load(before + here, kept, 0.0)
            dv = v - tl.load(before + plane + here, kept, 0.0)
            change += tl.where(kept, du * du + dv * dv, 0.0)
    if MEASURE:
        tl.store(changes + program, tl.sum(change, 0))


@triton.jit(**_ANY)
def _moves(changes, moves, parts, least, BLOCK: tl.constexpr):
    """Whether each pair's change is at least ``least``; the order of the sum is fixed."""
    pair = tl.program_id(0)
    total = tl.zeros((BLOCK,), tl.float32)
    for begin in range(0, parts, BLOCK):
        part = begin + tl.arange(0, BLOCK)
        total += tl.load(changes + pair * parts + part, part < parts, 0.0)
    tl.store(moves + pair, (tl.sum(total, 0) >= least).to(tl.int8))


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
        num_warps=4, **_TILE, **_FUSED,
    )  # fmt: skip


def rows_of(height: int) -> int:
    """Rows that one program walks down: about :data:`_ROWS`, and as many for each."""
    return triton.cdiv(height, max(1, round(height / _ROWS)))


def programs(height: int, width: int, depth: int) -> int:
    """Programs per pair that iterate ``depth`` times."""
    return triton.cdiv(width, _STRIP - 2 * depth) * triton.cdiv(height, rows_of(height))


def depths(iterations: int) -> list[int]:
    """Iterations of each launch: as few launches as can be, as even as can be."""
    launches = triton.cdiv(iterations, DEPTH)
    return [iterations * (i + 1) // launches - iterations * i // launches for i in range(launches)]


def iterate(
    pairs: Tensor, state: tuple[Tensor, Tensor], data: Tensor, new: tuple[Tensor, Tensor],
    before: Tensor, changes: Tensor | None, theta: float, rate: float, depth: int,
) -> None:  # fmt: skip
    """Fill ``new`` with what ``depth`` iterations make of ``state``.

    Args:
        pairs: ``int32``, the pairs to work on.
        state: flow (B, 2, H, W) and dual (B, 4, H, W).
        data: (B, 4, H, W).
        new: like ``state``, in other memory.
        before: (B, 2, H, W), the flow that changes are counted from.
        changes: filled, if given: per pair of ``pairs`` and program the sum of squares of the change, px².
        theta: tightness.
        rate: tau / theta.
        depth: at most :data:`DEPTH`.
    """
    height, width = data.shape[2:]
    grid = (programs(height, width, depth) * len(pairs),)
    _iterate[grid](
        pairs, *state, data, *new, before, before if changes is None else changes, height, width,
        rows_of(height), theta, rate, DEPTH=depth, STRIP=_STRIP, MEASURE=changes is not None, num_warps=1,
        **_FUSED,
    )  # fmt: skip


def still_moving(changes: Tensor, pixels: int, epsilon: float) -> Tensor:
    """Whether the root mean square of each pair's change is at least ``epsilon``; ``int8`` (B,)."""
    moves = torch.empty(len(changes), dtype=torch.int8, device=changes.device)
    parts = changes.shape[1]
    _moves[(len(changes),)](changes, moves, parts, epsilon**2 * pixels, BLOCK=128, num_warps=1, **_FUSED)
    return moves
