"""Layers shared by several encoders.

Activations are (F, C, K, H, W) with the channels last in memory. Then a 2D convolution per frame, a temporal
convolution and a linear layer per position all read them without a copy: only the shape differs.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from cocon.models.conv3d import TapwiseConv


class StridedPointwise(nn.Linear):
    """1x1 (or 1x1x1) convolution without bias: every stride-th position, then a linear layer.

    As a matrix product it is faster than oneDNN's convolution, whose weight gradient for stride 2
    also writes outside its memory when there are few channels (seen in torch 2.14: from 4 channels
    to 8, stride 2, channels last).
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, bias=False)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """(F, inputs, [K,] H, W) to (F, outputs, ...), the other sizes divided by stride, rounded up."""
        every = (slice(None), slice(None), *[slice(None, None, self.stride)] * (x.dim() - 2))
        return super().forward(x[every].movedim(1, -1)).movedim(-1, 1)


class Conv7x7(nn.Conv2d):
    """The first convolution of frames: 7x7, stride 2, padding 3, without bias."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__(channels, outputs, 7, stride=2, padding=3, bias=False)

    def forward(self, x_FCHW: Tensor) -> Tensor:
        """(F, channels, H, W) to (F, outputs, ceil(H / 2), ceil(W / 2))."""
        if x_FCHW.shape[1] == 1 and x_FCHW.shape[3] % 2 == 0:
            return self._folded(x_FCHW)
        return super().forward(x_FCHW)

    def _folded(self, x_F1HW: Tensor) -> Tensor:
        """The same convolution with neighbouring columns folded into two channels: 7x7x1 to 7x4x2.

        The weight gradient of a one-channel convolution is several times faster this way on a CPU.
        """
        weight = F.pad(self.weight, (1, 0)).unflatten(3, (4, 2))[:, 0].permute(0, 3, 1, 2)
        x_F2HW = F.pad(x_F1HW, (4, 2)).unflatten(3, (-1, 2))[:, 0].permute(0, 3, 1, 2)
        return F.conv2d(x_F2HW, weight, stride=(2, 1), padding=(3, 0))


class PerFrame(nn.Module):
    """A 2D layer, frame by frame: a 3D layer of size 1xkxk whose weights are (out, in, k, k)."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x_FCKHW: Tensor) -> Tensor:
        """(F, C, K, H, W) to (F, outputs, K, H', W')."""
        frames = x_FCKHW.transpose(1, 2)
        y: Tensor = self.layer(frames.flatten(0, 1))
        result: Tensor = y.unflatten(0, frames.shape[:2]).transpose(1, 2)
        return result


class TemporalConv(TapwiseConv):
    """kx1x1 convolution over time, without bias, padded by k // 2."""

    def __init__(self, inputs: int, outputs: int, size: int = 3, stride: int = 1) -> None:
        super().__init__(inputs, outputs, (size, 1, 1), (stride, 1, 1))


def initialise(module: nn.Module) -> None:
    """Initialise the weights of a convolution (He et al. 2015, fan out, ReLU); for ``Module.apply``."""
    if isinstance(module, nn.Conv2d | nn.Conv3d | StridedPointwise):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
