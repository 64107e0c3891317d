"""The iterations of a warp, several in one pass over memory, and which pairs still move.

An iteration reads flow, dual and data (10 planes) and writes flow and dual (6): 40 bytes per pixel with dual
and data in float16, if each is a launch of its own. :data:`DEPTH` of them in one launch take a quarter of
that, and the margins: 12 bytes.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from view_extractors.flow.tvl1.kernels.options import ANY, FUSED

#: iterations of one launch, at most
DEPTH = 4
#: columns of a strip, margins included; a warp of 32 threads walks down each
_STRIP = 64
#: rows that a program walks down, about; the margins come on top
_ROWS = 60

# mypy: disable-error-code="no-untyped-def"


@triton.jit
def _advance(y, x, height, width, theta, rate, old, row):
    """One iteration (Zach et al., eq. 13 to 15), a row at a time.

    ``row`` is row y before the iteration. ``old`` is row y - 1, whose flow has already been updated by this
    iteration and whose dual has not. Returns row y - 1 after the iteration, and what is the next row's
    ``old``.
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


@triton.jit(**ANY)
def _iterate(
    pairs, flow, dual, data, new_flow, new_dual, before, changes, height, width, rows, theta, rate,
    DEPTH: tl.constexpr, STRIP: tl.constexpr, MEASURE: tl.constexpr,
):  # fmt: skip
    """DEPTH iterations in one pass over memory.

    A program walks down a strip of columns. Of each iteration it holds the row before in registers, so that
    row y enters while row y - DEPTH leaves. The strip overlaps its neighbours by DEPTH columns and rows on
    each side, in which the error from the missing outside pixels advances by one pixel per iteration.
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
            tl.load(dual + here, there, 0.0).to(tl.float32),
            tl.load(dual + plane + here, there, 0.0).to(tl.float32),
            tl.load(dual + 2 * plane + here, there, 0.0).to(tl.float32),
            tl.load(dual + 3 * plane + here, there, 0.0).to(tl.float32),
            tl.load(data + here, there, 0.0).to(tl.float32),
            tl.load(data + plane + here, there, 0.0).to(tl.float32),
            tl.load(data + 2 * plane + here, there, 0.0).to(tl.float32),
            tl.load(data + 3 * plane + here, there, 0.0).to(tl.float32),
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


@triton.jit(**ANY)
def _moves(changes, moves, parts, least, BLOCK: tl.constexpr):
    """Whether each pair's change is at least ``least``; the order of the sum is fixed."""
    pair = tl.program_id(0)
    total = tl.zeros((BLOCK,), tl.float32)
    for begin in range(0, parts, BLOCK):
        part = begin + tl.arange(0, BLOCK)
        total += tl.load(changes + pair * parts + part, part < parts, 0.0)
    tl.store(moves + pair, (tl.sum(total, 0) >= least).to(tl.int8))


def rows_of(height: int) -> int:
    """Rows that one program walks down: about :data:`_ROWS`, and as many for each."""
    result: int = triton.cdiv(height, max(1, round(height / _ROWS)))
    return result


def programs(height: int, width: int, depth: int) -> int:
    """Programs per pair that iterate ``depth`` times."""
    result: int = triton.cdiv(width, _STRIP - 2 * depth) * triton.cdiv(height, rows_of(height))
    return result


def depths(iterations: int) -> list[int]:
    """Iterations of each launch: as few launches as possible, as equal as possible."""
    launches = triton.cdiv(iterations, DEPTH)
    return [iterations * (i + 1) // launches - iterations * i // launches for i in range(launches)]


def iterate(
    pairs: Tensor, state: tuple[Tensor, Tensor], data: Tensor, new: tuple[Tensor, Tensor],
    before: Tensor, changes: Tensor | None, theta: float, rate: float, depth: int,
) -> None:  # fmt: skip
    """Run ``depth`` iterations on ``state`` and write the result to ``new``.

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
        **FUSED,
    )  # fmt: skip


def still_moving(changes: Tensor, pixels: int, epsilon: float) -> Tensor:
    """Whether the root mean square of each pair's change is at least ``epsilon``; ``int8`` (B,)."""
    moves = torch.empty(len(changes), dtype=torch.int8, device=changes.device)
    parts = changes.shape[1]
    _moves[(len(changes),)](changes, moves, parts, epsilon**2 * pixels, BLOCK=128, num_warps=1, **FUSED)
    return moves
