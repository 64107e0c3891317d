"""Stored bytes from flow, in torch: what the CPU does with OpenCV, so that only bytes leave the GPU."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

from cocon.views import FLOW_ZERO
from view_extractors.flow.base import REACH

#: OpenCV leaves out parts of pixels that are smaller
_LEAST_PART = 1e-3


def stored_bytes(flow_B2HW: Tensor, size: tuple[int, int], bound: float) -> Tensor:
    """Flow of ``size`` (h, w) as ``uint8`` (B, h, w, 2).

    Equals what :func:`~view_extractors.flow.base.rescale_flow` and
    :func:`~view_extractors.flow.base.flow_to_bytes` return, except for values that rounding has moved across
    a half.
    """
    height, width = flow_B2HW.shape[2:]
    if (height, width) != size:
        rows, columns = (
            torch.from_numpy(resize_weights(source, target, size[0] < height)).to(flow_B2HW.device)
            for source, target in ((height, size[0]), (width, size[1]))
        )
        flow_B2HW = rows @ flow_B2HW @ columns.T
    factors = flow_B2HW.new_tensor([size[1] / width, size[0] / height])
    flow_BHW2 = flow_B2HW.permute(0, 2, 3, 1) * factors
    fraction = (flow_BHW2 / flow_B2HW.new_tensor(bound)).clamp(-1, 1)
    return (FLOW_ZERO + REACH * fraction).round().to(torch.uint8)


@functools.lru_cache(maxsize=16)
def resize_weights(source: int, target: int, by_area: bool) -> np.ndarray:
    """Weights of ``source`` pixels in each of ``target`` pixels, as OpenCV resizes.

    Args:
        source: pixels along one side.
        target: likewise, of the result.
        by_area: INTER_AREA, else INTER_LINEAR.

    Returns:
        ``float32`` (target, source).
    """
    scale = source / target
    pixel = np.arange(source)
    if by_area:
        begin = np.arange(target)[:, None] * scale
        end = np.minimum(begin + scale, source)
        part = np.clip(np.minimum(end, pixel + 1) - np.maximum(begin, pixel), 0, 1)
        result: np.ndarray = (np.where(part > _LEAST_PART, part, 0) / (end - begin)).astype(np.float32)
        return result
    centre = np.clip((np.arange(target) + 0.5) * scale - 0.5, 0, source - 1)[:, None]
    near: np.ndarray = np.clip(1 - np.abs(centre - pixel), 0, None).astype(np.float32)
    return near
