"""TV-L1 in torch, all pairs of a batch at once: for GPUs.

The scheme is that of :mod:`view_extractors.flow.tvl1.cpu`, step by step; results differ by rounding. A level
is computed here by single operations of torch (:func:`refine`), and in :mod:`view_extractors.flow.tvl1.fused`
by a few kernels. Importing this imports torch.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from view_extractors.flow.tvl1.scheme import Scheme

#: from (pictures (T, 1, H, W) of a level, flow, dual, scheme, number of the level) to flow and dual; flow is
#: (T - 1, 2, H, W): u, v; the dual (T - 1, 4, H, W): of u and v in x, of u and v in y
Refine = Callable[[Tensor, Tensor, Tensor, Scheme, int], tuple[Tensor, Tensor]]


def flow_of_pairs(pictures_THW: Tensor, scheme: Scheme, refine: Refine) -> Tensor:
    """The flow between neighbours, (T - 1, 2, H, W), px.

    Args:
        pictures_THW: ``float32``.
        scheme: the parameters of the method.
        refine: this module's, or that of :mod:`view_extractors.flow.tvl1.fused`.
    """
    levels = [pictures_THW[:, None]]
    for size in scheme.sizes(*pictures_THW.shape[1:])[1:]:
        levels.append(_scaled(levels[-1], size))
    height, width = levels[-1].shape[2:]
    pairs = len(pictures_THW) - 1
    flow = pictures_THW.new_zeros(pairs, 2, height, width)
    dual = pictures_THW.new_zeros(pairs, 4, height, width)
    for number, level in reversed(list(enumerate(levels))):
        if level.shape[2:] != flow.shape[2:]:
            size = (level.shape[2], level.shape[3])
            factors = flow.new_tensor([size[1] / flow.shape[3], size[0] / flow.shape[2]])
            flow = _scaled(flow, size) * factors[:, None, None]
            dual = _scaled(dual, size)
            # No difference leads across the border.
            dual[:, :2, :, -1] = 0
            dual[:, 2:, -1, :] = 0
        flow, dual = refine(level, flow, dual, scheme, number)
    return flow


def refine(
    level_T1HW: Tensor, flow: Tensor, dual: Tensor, scheme: Scheme, number: int
) -> tuple[Tensor, Tensor]:
    """Warp and iterate; a pair whose flow has converged is left unchanged.

    The host waits for the device once per warp, to check whether any pair still changes.
    """
    first_B1HW, second_B3HW = level_T1HW[:-1], with_gradient(level_T1HW[1:])
    moves_B111 = torch.ones_like(flow[:, :1, :1, :1], dtype=torch.bool)
    for _ in range(scheme.warps_at(number)):
        new = median_filter(flow, scheme.median_filter)
        data = linearise(first_B1HW, second_B3HW, new, scheme.lambda_ * scheme.theta)
        new, new_dual = iterate(new, dual, data, scheme, scheme.iterations_at(number))
        change_B111 = (new - flow).square().sum(1, keepdim=True).mean((2, 3), keepdim=True)
        flow = torch.where(moves_B111, new, flow)
        dual = torch.where(moves_B111, new_dual, dual)
        moves_B111 = moves_B111 & (change_B111 >= scheme.epsilon**2)
        if not moves_B111.any():
            break
    return flow, dual


def _scaled(planes_BCHW: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(planes_BCHW, size=size, mode="bilinear", align_corners=False)


def with_gradient(pictures_B1HW: Tensor) -> Tensor:
    """(B, 3, H, W): value and central differences in x and y, with replicated borders."""
    padded = F.pad(pictures_B1HW, (1, 1, 1, 1), mode="replicate")
    dx = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    dy = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    return torch.cat([pictures_B1HW, dx, dy], dim=1)


def median_filter(planes_BCHW: Tensor, width: int) -> Tensor:
    """Median of the width × width neighbourhood, with replicated borders.

    Among half of the values plus one, the smallest and the largest cannot be the median. They are dropped and
    the next value is added, until all values have been used.
    """
    height, columns = planes_BCHW.shape[2:]
    reach = width // 2
    padded = F.pad(planes_BCHW, (reach,) * 4, mode="replicate")
    values = [padded[..., y : y + height, x : x + columns] for y in range(width) for x in range(width)]
    kept = values[: len(values) // 2 + 2]
    waiting = values[len(kept) :]
    while len(kept) > 1:
        kept = _without_extremes(kept) + waiting[:1]
        waiting = waiting[1:]
    return kept[0]


def _without_extremes(values: list[Tensor]) -> list[Tensor]:
    """All but the smallest and the largest, in any order."""
    for i in range(1, len(values)):
        values[0], values[i] = torch.minimum(values[0], values[i]), torch.maximum(values[0], values[i])
    for i in range(1, len(values) - 1):
        values[i], values[-1] = torch.minimum(values[i], values[-1]), torch.maximum(values[i], values[-1])
    return values[1:-1]


def sample(planes_BCHW: Tensor, flow_B2HW: Tensor) -> Tensor:
    """The planes at (x + u, y + v), with replicated borders.

    Unlike ``grid_sample``, whose coordinates are fractions of the width, this is exact at whole pixels.
    """
    batch, channels, height, width = planes_BCHW.shape
    flat = planes_BCHW.flatten(2)
    x_BHW = (flow_B2HW[:, 0] + torch.arange(width, device=flow_B2HW.device)).clamp(-2, width + 1)
    y_BHW = (flow_B2HW[:, 1] + torch.arange(height, device=flow_B2HW.device)[:, None]).clamp(-2, height + 1)
    columns, rows = x_BHW.floor(), y_BHW.floor()
    x_weights, y_weights = _cubic(x_BHW - columns), _cubic(y_BHW - rows)
    total = torch.zeros_like(planes_BCHW)
    for j, y_weight in enumerate(y_weights):
        row = (rows.long() + (j - 1)).clamp(0, height - 1) * width
        for i, x_weight in enumerate(x_weights):
            index = row + (columns.long() + (i - 1)).clamp(0, width - 1)
            value = flat.gather(2, index.view(batch, 1, -1).expand(-1, channels, -1))
            total += value.view_as(total) * (x_weight * y_weight)[:, None]
    return total


def _cubic(t: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Keys' kernel with a = -3/4."""
    s = 1 - t
    return (
        -0.75 * t * s * s,
        (1.25 * t - 2.25) * t * t + 1,
        (1.25 * s - 2.25) * s * s + 1,
        -0.75 * s * t * t,
    )


def linearise(
    first_B1HW: Tensor, second_B3HW: Tensor, flow_B2HW: Tensor, weight: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The residual around the flow, as in :func:`view_extractors.flow.tvl1.warping.linearise`.

    Returns:
        rho (B, 1, H, W), the gradient's direction (B, 2, H, W) and the bound (B, 1, H, W).
    """
    sampled = sample(second_B3HW, flow_B2HW)
    gradient_B2HW = sampled[:, 1:]
    square = gradient_B2HW.square().sum(1, keepdim=True)
    inverse = square.clamp(min=1e-6).rsqrt()
    normal_B2HW = gradient_B2HW * inverse
    rho = (sampled[:, :1] - first_B1HW) * inverse - (normal_B2HW * flow_B2HW).sum(1, keepdim=True)
    return rho, normal_B2HW, weight * square * inverse


def iterate(
    flow: Tensor, dual: Tensor, data: tuple[Tensor, Tensor, Tensor], scheme: Scheme, iterations: int
) -> tuple[Tensor, Tensor]:
    """Flow and dual after some iterations (Zach et al., eq. 13 to 15); the arguments are not modified.

    The dual is kept with a zero before its first and after its last difference, which makes the divergence
    a plain difference.
    """
    rho, normal, bound = data
    padded_x, padded_y = F.pad(dual[:, :2], (1, 0)), F.pad(dual[:, 2:], (0, 0, 1, 0))
    dual_x, dual_y = padded_x[..., 1:], padded_y[..., 1:, :]
    dx, dy = torch.zeros_like(flow), torch.zeros_like(flow)
    for _ in range(iterations):
        step = torch.clamp(-(rho + (normal * flow).sum(1, keepdim=True)), -bound, bound)
        divergence = padded_x.diff(dim=3) + padded_y.diff(dim=2)
        flow = flow + step * normal + scheme.theta * divergence
        torch.sub(flow[..., 1:], flow[..., :-1], out=dx[..., :-1])
        torch.sub(flow[..., 1:, :], flow[..., :-1, :], out=dy[..., :-1, :])
        scale = 1 / (1 + scheme.rate * torch.hypot(dx, dy))
        dual_x.add_(dx, alpha=scheme.rate).mul_(scale)
        dual_y.add_(dy, alpha=scheme.rate).mul_(scale)
    return flow, torch.cat([dual_x, dual_y], dim=1)
