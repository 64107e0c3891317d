"""Converts stored bytes to network input."""

from __future__ import annotations

import torch
from torch import Tensor

from cocon.config.schema import Clip
from cocon.transfer import constant
from cocon.views import VIEWS


def unit_range(x_u8_BTCHW: Tensor) -> Tensor:
    """``uint8`` to ``float32`` in [0, 1]."""
    return x_u8_BTCHW.to(torch.float32).div_(255)


def normalise(x_BTCHW: Tensor, view: str, clip: Clip) -> Tensor:
    """Values in [0, 1] (they are overwritten) to network input (B, N, C, K, H, W), shifted and scaled.

    In memory the channels come last, the fastest layout for 3D convolutions on a CPU and with half precision;
    the shape has the usual order.
    """
    mean, std = VIEWS[view].mean, VIEWS[view].std
    if any(mean):
        x_BTCHW.sub_(constant(mean, x_BTCHW.device, x_BTCHW.dtype).view(-1, 1, 1))
    if set(std) != {1.0}:
        x_BTCHW.div_(constant(std, x_BTCHW.device, x_BTCHW.dtype).view(-1, 1, 1))
    x_BTHWC = x_BTCHW.permute(0, 1, 3, 4, 2).contiguous()
    result: Tensor = x_BTHWC.unflatten(1, (clip.blocks, clip.frames_per_block)).permute(0, 1, 5, 2, 3, 4)
    return result


def to_network_input(x_u8_BTCHW: Tensor, view: str, clip: Clip) -> Tensor:
    """Stored frames to network input, without augmentation.

    Args:
        x_u8_BTCHW: ``uint8`` clips of one view.
        view: name of the view.
        clip: number of blocks N and frames per block K.

    Returns:
        ``float32`` (B, N, C, K, H, W).
    """
    return normalise(unit_range(x_u8_BTCHW), view, clip)
