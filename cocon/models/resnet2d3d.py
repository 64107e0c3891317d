"""The encoder f: a ResNet whose first half is 2D (per frame) and whose second half is 3D.

Source: DPC (Han et al. 2019, arXiv 1909.04656), as used by CoCon (Rai et al. 2021,
arXiv 2104.14764).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from cocon.config.schema import Network
from cocon.models.conv3d import Conv3x3x3
from cocon.models.encoder import EncoderNetwork
from cocon.models.layers import Conv7x7, StridedPointwise, initialise


class Stem(nn.Module):
    """7x7 convolution of stride 2, batch norm, 3x3 max-pool of stride 2, ReLU; frame by frame.

    ReLU follows the pool: the two commute, and the pooled map is four times smaller.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv = Conv7x7(channels, width)
        self.norm = nn.BatchNorm2d(width)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)

    def forward(self, x_FCHW: Tensor) -> Tensor:
        """Frames (F, C, H, W) to (F, width, ceil(H / 4), ceil(W / 4))."""
        return F.relu(self.pool(self.norm(self.conv(x_FCHW))), inplace=True)


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


class ResNet2d3d(EncoderNetwork):
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
        super().__init__(channels, features)
        if len(layers) != 4:
            raise ValueError(f"layers must have one entry for each of the 4 stages, not {len(layers)}")
        self.stem = Stem(channels, width)
        self.stage1 = _stage(width, width, layers[0], stride=1, temporal=False)
        self.stage2 = _stage(width, 2 * width, layers[1], stride=2, temporal=False)
        self.stage3 = _stage(2 * width, 4 * width, layers[2], stride=2, temporal=True)
        self.stage4 = _stage(4 * width, features, layers[3], stride=2, temporal=True, last=True)
        self.apply(initialise)

    def encode(self, x_FCKHW: Tensor) -> Tensor:
        """Blocks (F, C, K, H, W) to (F, D, S, S) with S = ceil(H / 32); 5 frames become 2 time steps."""
        y = self.stage2(self.stage1(self.stem(x_FCKHW.transpose(1, 2).flatten(0, 1))))
        y = y.unflatten(0, (len(x_FCKHW), -1)).transpose(1, 2)
        result: Tensor = self.stage4(self.stage3(y)).mean(2)
        return result

    @staticmethod
    def fewest_weights(network: Network) -> int:
        """Number of weights of the second convolutions of all blocks."""
        channels = (network.width, 2 * network.width, 4 * network.width, network.features)
        taps = (9, 9, 27, 27)
        return sum(n * c * c * k for n, c, k in zip(network.layers, channels, taps, strict=True))


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
