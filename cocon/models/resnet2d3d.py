"""The encoder f: a ResNet whose first half is 2D (per frame) and whose second half is 3D.

Source: DPC (Han et al. 2019, arXiv 1909.04656), as used by CoCon (Rai et al. 2021,
arXiv 2104.14764).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from cocon.models.conv3d import Conv3x3x3

SPATIAL_STRIDE = 32
"""Input pixels per location of the encoder's output, before rounding up."""


class Stem(nn.Module):
    """7x7 convolution of stride 2, batch norm, 3x3 max-pool of stride 2, ReLU; frame by frame.

    ReLU follows the pool: the two commute, and the pooled map is four times smaller.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 7, stride=2, padding=3, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)

    def forward(self, x_FCHW: Tensor) -> Tensor:
        """Frames (F, C, H, W) to (F, width, ceil(H / 4), ceil(W / 4))."""
        one_channel = x_FCHW.shape[1] == 1 and x_FCHW.shape[3] % 2 == 0
        y = self._convolve_folded(x_FCHW) if one_channel else self.conv(x_FCHW)
        return F.relu(self.pool(self.norm(y)), inplace=True)

    def _convolve_folded(self, x_F1HW: Tensor) -> Tensor:
        """The same convolution with neighbouring columns folded into two channels: 7x7x1 to 7x4x2.

        The weight gradient of a one-channel convolution is several times faster this way on a CPU.
        """
        weight = F.pad(self.conv.weight, (1, 0)).unflatten(3, (4, 2))[:, 0].permute(0, 3, 1, 2)
        x_F2HW = F.pad(x_F1HW, (4, 2)).unflatten(3, (-1, 2))[:, 0].permute(0, 3, 1, 2)
        return F.conv2d(x_F2HW, weight, stride=(2, 1), padding=(3, 0))


class StridedPointwise(nn.Linear):
    """1x1 (or 1x1x1) convolution without bias: every stride-th position, then a linear layer.

    As a matrix product it is faster than oneDNN's convolution, whose weight gradient for this case
    also writes outside its memory when there are few channels (seen in torch 2.14: from 4 channels
    to 8, stride 2, channels last).
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__(inputs, outputs, bias=False)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """(F, inputs, [K,] H, W) to (F, outputs, ...), the other sizes divided by stride, rounded up."""
        every = (slice(None), slice(None), *[slice(None, None, self.stride)] * (x.dim() - 2))
        return super().forward(x[every].movedim(1, -1)).movedim(-1, 1)


class BasicBlock(nn.Module):
    """Two 3x3 (or 3x3x3) convolutions with batch norm and a residual connection.

    The shortcut is a 1x1 convolution with batch norm wherever the shape changes. A 3D block with
    stride 2 halves time as well as space.
    """

    def __init__(
        self, inputs: int, outputs: int, *, stride: int = 1, temporal: bool = False, final_relu: bool = True
    ) -> None:
        super().__init__()
        norm: type[nn.Module] = nn.BatchNorm3d if temporal else nn.BatchNorm2d
        self.conv1 = _conv3(inputs, outputs, stride, temporal)
        self.norm1 = norm(outputs)
        self.conv2 = _conv3(outputs, outputs, 1, temporal)
        self.norm2 = norm(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(StridedPointwise(inputs, outputs, stride), norm(outputs))
        self.final_relu = final_relu

    def forward(self, x: Tensor) -> Tensor:
        """(F, inputs, H, W) or (F, inputs, K, H, W) to the same rank with ``outputs`` channels."""
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)
        y = self.norm2(self.conv2(y))
        y += self.shortcut(x)  # in place: batch norm does not need its output again
        return F.relu(y, inplace=True) if self.final_relu else y


class ResNet2d3d(nn.Module):
    """2D3D-ResNet: stem and stages 1-2 per frame, stages 3-4 over space and time.

    The convolutions of the first half have a temporal extent of 1, so they are 2D convolutions over
    merged (clip, frame): the same numbers as 1xkxk 3D convolutions, but faster. Their weights are
    therefore (out, in, k, k); ``weight.unsqueeze(2)`` gives the 3D form of other code bases.

    Args:
        channels: channels of the view.
        layers: residual blocks in each of the four stages; (2, 2, 2, 2) is ResNet-18.
        width: channels of the stem and stage 1; stages 2 and 3 have twice and four times as many.
        features: channels of stage 4, D.
    """

    def __init__(self, channels: int, layers: Sequence[int], width: int, features: int) -> None:
        super().__init__()
        if len(layers) != 4:
            raise ValueError(f"layers must have one entry for each of the 4 stages, not {len(layers)}")
        self.channels = channels
        self.features = features
        self.stem = Stem(channels, width)
        self.stage1 = _stage(width, width, layers[0], stride=1, temporal=False)
        self.stage2 = _stage(width, 2 * width, layers[1], stride=2, temporal=False)
        self.stage3 = _stage(2 * width, 4 * width, layers[2], stride=2, temporal=True)
        self.stage4 = _stage(4 * width, features, layers[3], stride=2, temporal=True, last=True)
        self.apply(_initialise)

    def forward(self, x_FCKHW: Tensor) -> Tensor:
        """Encode blocks of K frames, (F, C, K, H, W), to (F, D, S, S) with S = ceil(H / 32).

        Time is averaged. The output is not normalised and may be negative (no final ReLU). Input whose
        channels come last in memory is not copied.

        Raises:
            ValueError: if the input is not 5-dimensional with the channels of this view.
        """
        if x_FCKHW.dim() != 5 or x_FCKHW.shape[1] != self.channels:
            raise ValueError(f"expected (F, {self.channels}, K, H, W), got {tuple(x_FCKHW.shape)}")
        blocks = x_FCKHW.shape[0]
        channels_last = x_FCKHW.permute(0, 2, 3, 4, 1).contiguous().flatten(0, 1)
        y = self.stage2(self.stage1(self.stem(channels_last.permute(0, 3, 1, 2))))
        y = y.unflatten(0, (blocks, -1)).transpose(1, 2)
        return self.stage4(self.stage3(y)).mean(2)


def output_size(pixels: int) -> int:
    """Locations along one side of the encoder's output, S = ceil(pixels / 32)."""
    return -(-pixels // SPATIAL_STRIDE)


def _conv3(inputs: int, outputs: int, stride: int, temporal: bool) -> nn.Module:
    if temporal:
        return Conv3x3x3(inputs, outputs, stride)
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)


def _stage(
    inputs: int, outputs: int, blocks: int, *, stride: int, temporal: bool, last: bool = False
) -> nn.Sequential:
    layers = [
        BasicBlock(
            inputs if i == 0 else outputs,
            outputs,
            stride=stride if i == 0 else 1,
            temporal=temporal,
            final_relu=not (last and i == blocks - 1),
        )
        for i in range(blocks)
    ]
    return nn.Sequential(*layers)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Conv3d | StridedPointwise):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
