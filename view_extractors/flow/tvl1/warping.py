"""The data term: the second picture and its gradient, sampled where the flow points to (compiled loops).

``PAD`` replicated pixels surround a picture, and positions are held within two pixels of it, where an
interpolation of up to 4 × 4 pixels gets the border's value and nothing else.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from view_extractors.flow.tvl1.compiled import compiled

PAD = 4
_float = np.float32


@intrinsic
def _weighted(typing: Any, pixels: Any, index: Any, stride: Any, x_weights: Any, y_weights: Any) -> Any:
    """Weighted sum of the n × n pixels from ``index`` on, all channels at once.

    Numba does not vectorise over the 4 channels by itself; here a row of n pixels is one vector.

    Args:
        pixels: ``float32`` (4 · pixels,), 4 channels side by side.
        index, stride: of the first pixel, and from row to row, in pixels.
        x_weights, y_weights: tuples of n weights.

    Returns:
        The first 3 channels.
    """
    taps = len(x_weights)
    lane = ir.IntType(32)
    signature = types.UniTuple(types.float32, 3)(pixels, index, stride, x_weights, y_weights)

    def shuffled(builder: Any, vector: Any, lanes: list[int]) -> Any:
        mask = ir.Constant(ir.VectorType(lane, len(lanes)), lanes)
        return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), mask)

    def spread(builder: Any, weights: list[Any]) -> Any:
        """Each weight 4 · taps / len(weights) times."""
        vector = ir.Constant(ir.VectorType(ir.FloatType(), taps), ir.Undefined)
        for number, weight in enumerate(weights):
            vector = builder.insert_element(vector, weight, ir.Constant(lane, number))
        return shuffled(builder, vector, [i * len(weights) // (4 * taps) for i in range(4 * taps)])

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        start, fast = arguments[1], ("fast",)
        row_type = ir.VectorType(ir.FloatType(), 4 * taps).as_pointer()
        total = None
        for weight in cgutils.unpack_tuple(builder, arguments[4]):
            offset = builder.shl(start, ir.Constant(start.type, 2))
            row = builder.load(builder.bitcast(builder.gep(data, [offset]), row_type), align=4)
            row = builder.fmul(row, spread(builder, [weight]), flags=fast)
            total = row if total is None else builder.fadd(total, row, flags=fast)
            start = builder.add(start, arguments[2])
        columns = spread(builder, cgutils.unpack_tuple(builder, arguments[3]))
        total = builder.fmul(total, columns, flags=fast)
        length = 4 * taps
        while length > 4:
            length //= 2
            low, high = list(range(length)), list(range(length, 2 * length))
            total = builder.fadd(shuffled(builder, total, low), shuffled(builder, total, high), flags=fast)
        channels = [builder.extract_element(total, ir.Constant(lane, c)) for c in range(3)]
        return context.make_tuple(builder, signature.return_type, channels)

    return signature, generate


@compiled
def _cubic(t):  # type: ignore[no-untyped-def]
    """Keys' kernel with a = -3/4, which OpenCV uses."""
    s, one = _float(1) - t, _float(1)
    return (
        _float(-0.75) * t * s * s,
        (_float(1.25) * t - _float(2.25)) * t * t + one,
        (_float(1.25) * s - _float(2.25)) * s * s + one,
        _float(-0.75) * s * t * t,
    )


@compiled
def with_gradient(picture_HW):  # type: ignore[no-untyped-def]
    """The picture and its central differences in x and y, with replicated borders.

    Args:
        picture_HW: ``float32``.

    Returns:
        ``float32`` ((H + 2 PAD) · (W + 2 PAD) · 4,): value, d/dx, d/dy and 0 per pixel.
    """
    height, width = picture_HW.shape
    out = np.zeros((height + 2 * PAD, width + 2 * PAD, 4), np.float32)
    for row in range(height + 2 * PAD):
        y = min(max(row - PAD, 0), height - 1)
        above, below = max(y - 1, 0), min(y + 1, height - 1)
        for column in range(width + 2 * PAD):
            x = min(max(column - PAD, 0), width - 1)
            left, right = max(x - 1, 0), min(x + 1, width - 1)
            out[row, column, 0] = picture_HW[y, x]
            out[row, column, 1] = _float(0.5) * (picture_HW[y, right] - picture_HW[y, left])
            out[row, column, 2] = _float(0.5) * (picture_HW[below, x] - picture_HW[above, x])
    return out.ravel()


@compiled
def _sample_row(pixels, y, u, v, height, width, out):  # type: ignore[no-untyped-def]
    """Value and gradient at (x + u, y + v) for a row of pixels; ``out`` is (3, W)."""
    stride = np.uint64(width + 2 * PAD)
    pad, two = _float(PAD), _float(2)
    for x in range(width):
        to_x = min(max(_float(x) + u[x], -two), _float(width + 1)) + pad
        to_y = min(max(_float(y) + v[x], -two), _float(height + 1)) + pad
        column, row = np.int32(to_x), np.int32(to_y)
        s, t = to_x - _float(column), to_y - _float(row)
        index = np.uint64(row - 1) * stride + np.uint64(column - 1)
        out[0, x], out[1, x], out[2, x] = _weighted(pixels, index, stride, _cubic(s), _cubic(t))


@compiled
def linearise(first, pixels, u, v, width, weight, rho, nx, ny, bound):  # type: ignore[no-untyped-def]
    """Linearise the residual around the flow (Zach et al., eq. 9), divided by the gradient's length.

    With g the gradient of the warped second picture and n = g / |g|, the residual at a flow w is
    |g| (rho + n · w).

    Args:
        first: ``float32`` (H, W), the first picture.
        pixels: the second picture, see :func:`with_gradient`.
        u, v: ``float32`` (H + 1, W + 1), the flow; the last row and column are not read.
        width: W.
        weight: lambda · theta.
        rho, nx, ny: ``float32`` (H, W + 1), overwritten but for the last column.
        bound: likewise, overwritten with weight · |g|.
    """
    height = first.shape[0]
    row = np.empty((3, width), np.float32)
    tiny = _float(1e-6)
    for y in range(height):
        _sample_row(pixels, y, u[y], v[y], height, width, row)
        first_y, u_y, v_y = first[y], u[y], v[y]
        rho_y, nx_y, ny_y, bound_y = rho[y], nx[y], ny[y], bound[y]
        for x in range(width):
            gx, gy = row[1, x], row[2, x]
            square = gx * gx + gy * gy
            inverse = _float(1) / np.sqrt(max(square, tiny))
            bound_y[x] = weight * square * inverse
            gx *= inverse
            gy *= inverse
            nx_y[x], ny_y[x] = gx, gy
            rho_y[x] = (row[0, x] - first_y[x]) * inverse - gx * u_y[x] - gy * v_y[x]
