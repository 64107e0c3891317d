"""Stored bytes from flow, in torch: what the CPU does with OpenCV, so that only bytes leave the GPU."""

from __future__ import annotations

import torch
from torch import Tensor

from cocon.views import FLOW_ZERO
from view_extractors.flow.base import REACH
from view_extractors.networks.resizing import resize_weights


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
