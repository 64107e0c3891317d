"""TV-L1 from the papers' equations, in NumPy and double precision: slow, and with as few tricks as possible.

Equation numbers are those of Zach, Pock and Bischof (2007); the discretisation is that of Sánchez,
Meinhardt-Llopis and Facciolo (2013).
"""

from __future__ import annotations

import numpy as np

from view_extractors.flow.tvl1.scheme import TAU, Scheme


def flow_of_pair(first: np.ndarray, second: np.ndarray, scheme: Scheme) -> np.ndarray:
    """The flow (H, W, 2) of a pair; epsilon must be 0."""
    assert scheme.epsilon == 0
    levels = [(first.astype(float), second.astype(float))]
    for size in scheme.sizes(*first.shape)[1:]:
        levels.append((scaled(levels[-1][0], size), scaled(levels[-1][1], size)))
    flow = np.zeros((2, *levels[-1][0].shape))
    dual = np.zeros((2, 2, *levels[-1][0].shape))
    for number in reversed(range(len(levels))):
        one, two = levels[number]
        if one.shape != flow.shape[1:]:
            factors = (one.shape[1] / flow.shape[2], one.shape[0] / flow.shape[1])
            flow = np.stack(
                [factor * scaled(part, one.shape) for factor, part in zip(factors, flow, strict=True)]
            )
            dual = np.stack([[scaled(part, one.shape) for part in of_one] for of_one in dual])
            dual[:, 0, :, -1] = 0
            dual[:, 1, -1, :] = 0
        for _ in range(scheme.warps_at(number)):
            flow = np.stack([median(part, scheme.median_filter) for part in flow])
            around = flow
            dx, dy = central_differences(two)
            difference = sampled(two, around) - one
            gradient = np.stack([sampled(dx, around), sampled(dy, around)])
            for _ in range(scheme.iterations_at(number)):
                rho = difference + (gradient * (flow - around)).sum(axis=0)
                flow, dual = iteration(flow, dual, rho, gradient, scheme)
    return np.moveaxis(flow, 0, -1)


def iteration(
    flow: np.ndarray, dual: np.ndarray, rho: np.ndarray, gradient: np.ndarray, scheme: Scheme
) -> tuple[np.ndarray, np.ndarray]:
    """One step in the flow (2, H, W), one in its dual (2, 2, H, W): of u in x and y, of v in x and y."""
    square = (gradient**2).sum(axis=0)
    limit = scheme.lambda_ * scheme.theta * square
    # eq. 15
    step = np.where(rho < -limit, scheme.lambda_ * scheme.theta, 0)
    step = np.where(rho > limit, -scheme.lambda_ * scheme.theta, step)
    between = (np.abs(rho) <= limit) & (square > 1e-6)
    step = np.where(between, -rho / np.maximum(square, 1e-6), step)
    auxiliary = flow + step * gradient
    # eq. 13
    flow = auxiliary + scheme.theta * np.stack([divergence(part) for part in dual])
    # eq. 14
    new = np.empty_like(dual)
    for k in range(2):
        forward = forward_differences(flow[k])
        length = np.sqrt((forward**2).sum(axis=0))
        new[k] = (dual[k] + TAU / scheme.theta * forward) / (1 + TAU / scheme.theta * length)
    return flow, new


def forward_differences(plane: np.ndarray) -> np.ndarray:
    """In x and in y; zero where a neighbour is missing."""
    out = np.zeros((2, *plane.shape))
    out[0, :, :-1] = plane[:, 1:] - plane[:, :-1]
    out[1, :-1] = plane[1:] - plane[:-1]
    return out


def divergence(field: np.ndarray) -> np.ndarray:
    """The negative adjoint of the forward differences."""
    x, y = field[0].copy(), field[1].copy()
    x[:, 1:] -= field[0][:, :-1]
    y[1:] -= field[1][:-1]
    return x + y


def central_differences(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    padded = np.pad(picture, 1, mode="edge")
    return (padded[1:-1, 2:] - padded[1:-1, :-2]) / 2, (padded[2:, 1:-1] - padded[:-2, 1:-1]) / 2


def sampled(picture: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Cubic convolution (Keys 1981, a = -3/4) at (x + u, y + v); beyond the border, the border's value."""
    height, width = picture.shape
    y, x = np.mgrid[:height, :width] + flow[::-1]
    total = np.zeros(picture.shape)
    for j in range(-1, 3):
        for i in range(-1, 3):
            row, column = np.floor(y).astype(int) + j, np.floor(x).astype(int) + i
            weight = keys(y - row) * keys(x - column)
            total += weight * picture[row.clip(0, height - 1), column.clip(0, width - 1)]
    return total


def keys(distance: np.ndarray) -> np.ndarray:
    a, d = -0.75, np.abs(distance)
    near = (a + 2) * d**3 - (a + 3) * d**2 + 1
    far = a * (d**3 - 5 * d**2 + 8 * d - 4)
    return np.where(d <= 1, near, np.where(d < 2, far, 0))


def median(plane: np.ndarray, width: int) -> np.ndarray:
    padded = np.pad(plane, width // 2, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (width, width))
    return np.median(windows, axis=(2, 3))


def scaled(plane: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Linear interpolation between pixel centres."""
    for axis in range(2):
        old, new = plane.shape[axis], size[axis]
        centres = ((np.arange(new) + 0.5) * old / new - 0.5).clip(0, old - 1)
        low = np.floor(centres).astype(int)
        high = np.minimum(low + 1, old - 1)
        part = (centres - low)[:, None] if axis == 0 else centres - low
        plane = plane.take(low, axis) * (1 - part) + plane.take(high, axis) * part
    return plane


def energy(flow: np.ndarray, rho: np.ndarray, gradient: np.ndarray, scheme: Scheme) -> float:
    """Eq. 9 without its auxiliary flow, of which the minimum is taken: that makes |rho| Huber's function."""
    limit = scheme.lambda_ * scheme.theta * (gradient**2).sum(axis=0)
    inner = rho**2 / (2 * scheme.theta * np.maximum((gradient**2).sum(axis=0), 1e-6))
    outer = scheme.lambda_ * (np.abs(rho) - limit / 2)
    smooth = sum(np.sqrt((forward_differences(part) ** 2).sum(axis=0)).sum() for part in flow)
    return float(np.where(np.abs(rho) <= limit, inner, outer).sum() + smooth)
