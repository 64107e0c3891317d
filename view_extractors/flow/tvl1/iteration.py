"""The iteration of Zach, Pock and Bischof (2007), swept over a picture in blocks (compiled loops).

All planes are flat with a stride of W + 1: the last column and the last row belong to no pixel. They hold
what makes the differences at the border right, so that the loops have no branches and vectorise.
"""

from __future__ import annotations

import numpy as np

from view_extractors.flow.tvl1.compiled import compiled

#: pixels per block, and iterations under way at once: what they touch stays in a cache of 1 to 2 MiB
_BLOCK, _DEPTH = 8192, 5
_float = np.float32


@compiled
def _primal(  # type: ignore[no-untyped-def]
    u, v, ux, ux_left, uy, uy_above, vx, vx_left, vy, vy_above, rho, nx, ny, bound, theta
):
    """Thresholding (eq. 15) and u = v + theta div p (eq. 13), for all pixels of ``rho``."""
    for i in range(rho.size):
        u_i, v_i = u[i], v[i]
        step = min(max(-(rho[i] + nx[i] * u_i + ny[i] * v_i), -bound[i]), bound[i])
        u[i] = u_i + step * nx[i] + theta * (ux[i] - ux_left[i] + uy[i] - uy_above[i])
        v[i] = v_i + step * ny[i] + theta * (vx[i] - vx_left[i] + vy[i] - vy_above[i])


@compiled
def _dual(u, u_right, u_below, px, py, rate):  # type: ignore[no-untyped-def]
    """p = (p + rate grad u) / (1 + rate |grad u|) (eq. 14), for all pixels of ``px``."""
    one = _float(1)
    for i in range(px.size):
        dx, dy = u_right[i] - u[i], u_below[i] - u[i]
        scale = one / (one + rate * np.sqrt(dx * dx + dy * dy))
        px[i] = (px[i] + rate * dx) * scale
        py[i] = (py[i] + rate * dy) * scale


@compiled
def _primal_rows(flow, dual, data, begin, end, height, width, theta):  # type: ignore[no-untyped-def]
    stride = width + 1
    a, b = begin * stride, end * stride
    c, d = a + stride, b + stride
    u, v = flow[0], flow[1]
    ux, uy, vx, vy = dual[0], dual[1], dual[2], dual[3]
    _primal(
        u[a:b], v[a:b],
        ux[c:d], ux[c - 1 : d - 1], uy[c:d], uy[a:b],
        vx[c:d], vx[c - 1 : d - 1], vy[c:d], vy[a:b],
        data[0, a:b], data[1, a:b], data[2, a:b], data[3, a:b], theta,
    )  # fmt: skip
    for y in range(begin, end):
        k = y * stride + width
        u[k], v[k] = u[k - 1], v[k - 1]
    if end == height:
        for k in range(b, b + stride):
            u[k], v[k] = u[k - stride], v[k - stride]


@compiled
def _dual_rows(flow, dual, begin, end, width, rate):  # type: ignore[no-untyped-def]
    stride = width + 1
    a, b = begin * stride, end * stride
    c, d = a + stride, b + stride
    for k in range(2):
        u, px, py = flow[k], dual[2 * k], dual[2 * k + 1]
        _dual(u[a:b], u[a + 1 : b + 1], u[c:d], px[c:d], py[c:d], rate)
        for y in range(begin, end):
            px[(y + 2) * stride - 1] = 0


@compiled
def iterate(flow, dual, data, height, width, theta, rate, iterations):  # type: ignore[no-untyped-def]
    """Iterate in place.

    A block's iteration needs its own and the next row's flow, so each iteration follows the one before it
    one block behind, and its dual step one row behind.

    Args:
        flow: ``float32`` (2, (H + 1) (W + 1)): u, v.
        dual: ``float32`` (4, (H + 1) (W + 1)): dual of u in x, in y, and of v, a row lower than the flow.
        data: ``float32`` (4, H (W + 1)): what :func:`~view_extractors.flow.tvl1.warping.linearise` makes.
        height, width: H, W.
        theta: tightness.
        rate: tau / theta.
        iterations: how many.
    """
    rows = max(1, _BLOCK // (width + 1))
    blocks = (height + rows - 1) // rows
    done = 0
    while done < iterations:
        depth = min(_DEPTH, iterations - done)
        for wave in range(blocks + depth - 1):
            for lag in range(min(depth, wave + 1)):
                begin = (wave - lag) * rows
                if begin >= height:
                    continue
                end = min(begin + rows, height)
                _primal_rows(flow, dual, data, begin, end, height, width, theta)
                _dual_rows(flow, dual, max(begin - 1, 0), end if end == height else end - 1, width, rate)
        done += depth


@compiled
def mean_square_change(flow, before, height, width):  # type: ignore[no-untyped-def]
    """Mean square of the difference of two flows (2, H + 1, W + 1) over their H × W pixels, px²."""
    total = 0.0
    for k in range(2):
        for y in range(height):
            now, then = flow[k, y, :width], before[k, y, :width]
            row = _float(0)
            for x in range(width):
                row += (now[x] - then[x]) * (now[x] - then[x])
            total += row
    return total / (height * width)
