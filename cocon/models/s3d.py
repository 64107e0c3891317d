"""The encoder S3D: Inception blocks with each 3D convolution split into a spatial and a temporal one.

Source: Xie et al. 2018, arXiv 1712.04851; the network of CoCLR (Han et al. 2020, arXiv 2010.09709). Without
the gates of S3D-G. Pools round up, as in the authors' code, so any size and number of frames works.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cocon.config.schema import Network
from cocon.models.encoder import EncoderNetwork
from cocon.models.layers import Conv7x7, PerFrame, StridedPointwise, TemporalConv, initialise

_WIDTH = 64
#: per block, channels of: the 1x1x1 branch; reduction and output of two 3x3x3 branches; the pooled branch
_INCEPTION3 = ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64))
_INCEPTION4 = (
    (192, 96, 208, 16, 48, 64),
    (160, 112, 224, 24, 64, 64),
    (128, 128, 256, 24, 64, 64),
    (112, 144, 288, 32, 64, 64),
    (256, 160, 320, 32, 128, 128),
)
_INCEPTION5 = ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128))


class NormalisedReLU(nn.Sequential):
    """A layer, batch norm and, unless it is the last of the network, ReLU."""

    def __init__(self, layer: nn.Module, channels: int, *, relu: bool = True) -> None:
        last = [nn.ReLU(inplace=True)] if relu else []
        super().__init__(layer, nn.BatchNorm3d(channels), *last)


class SeparableConv(nn.Sequential):
    """A spatial and a temporal convolution, each with batch norm and ReLU.

    Args:
        spatial: the convolution of frames.
        channels: of both outputs.
        size: of the temporal convolution.
        stride: of the temporal convolution.
        relu: whether a ReLU ends it.
    """

    def __init__(
        self, spatial: nn.Module, channels: int, size: int = 3, stride: int = 1, *, relu: bool = True
    ) -> None:
        super().__init__(
            NormalisedReLU(PerFrame(spatial), channels),
            NormalisedReLU(TemporalConv(channels, channels, size, stride), channels, relu=relu),
        )


class Inception(nn.Module):
    """Four branches side by side: 1x1x1, twice 1x1x1 and a separable 3x3x3, and a maximum and 1x1x1.

    Args:
        inputs: channels of the input.
        channels: six numbers, as in the tables above.
        relu: whether the branches end with a ReLU.
    """

    def __init__(self, inputs: int, channels: Sequence[int], *, relu: bool = True) -> None:
        super().__init__()
        direct, reduced_a, a, reduced_b, b, pooled = channels
        self.outputs = direct + a + b + pooled
        self.branches = nn.ModuleList(
            [
                _pointwise(inputs, direct, relu=relu),
                nn.Sequential(_pointwise(inputs, reduced_a), _conv3(reduced_a, a, relu=relu)),
                nn.Sequential(_pointwise(inputs, reduced_b), _conv3(reduced_b, b, relu=relu)),
                nn.Sequential(nn.MaxPool3d(3, stride=1, padding=1), _pointwise(inputs, pooled, relu=relu)),
            ]
        )

    def forward(self, x_FCKHW: Tensor) -> Tensor:
        """(F, inputs, K, H, W) to (F, outputs, K, H, W)."""
        return torch.cat([branch(x_FCKHW) for branch in self.branches], dim=1)


class S3d(EncoderNetwork):
    """S3D: a stem of separable convolutions and nine Inception blocks.

    As published except for the end: the last block has ``features`` channels (published: 1024), divided among
    its branches as published (3 : 3 : 1 : 1), and no final ReLU.

    Args:
        channels: channels of the view.
        width: channels of the stem (published: 64); those of all blocks are in proportion.
        features: channels of the last block, D.
    """

    def __init__(self, channels: int, width: int, features: int) -> None:
        super().__init__(channels, features)
        first, second = scaled((64, 192), width)
        self.stem1 = SeparableConv(Conv7x7(channels, first), first, size=7, stride=2)
        self.stem2 = nn.Sequential(_pointwise(first, first), _conv3(first, second))
        self.stage3, outputs = _stage(second, [scaled(block, width) for block in _INCEPTION3])
        self.stage4, outputs = _stage(outputs, [scaled(block, width) for block in _INCEPTION4])
        self.stage5, outputs = _stage(outputs, [scaled(block, width) for block in _INCEPTION5[:1]])
        self.last = Inception(outputs, last_channels(width, features), relu=False)
        self.apply(initialise)

    def encode(self, x_FCKHW: Tensor) -> Tensor:
        """Blocks (F, C, K, H, W) to (F, D, S, S) with S = ceil(H / 32); 5 frames become one time step."""
        y = _largest(self.stem1(x_FCKHW), (1, 3, 3), (1, 2, 2))
        y = self.stage3(_largest(self.stem2(y), (1, 3, 3), (1, 2, 2)))
        y = self.stage4(_largest(y, (3, 3, 3), (2, 2, 2)))
        y = F.max_pool3d(y, 2, ceil_mode=True)
        last: Tensor = self.last(self.stage5(y))
        return last.mean(2)

    @staticmethod
    def fewest_weights(network: Network) -> int:
        """Weights of the last temporal convolutions of stem and last block."""
        second, last = scaled((192,), network.width)[0], last_channels(network.width, network.features)[2]
        return 3 * (second**2 + last**2)


def scaled(channels: Sequence[int], width: int) -> list[int]:
    """Published numbers of channels, in proportion to the width of the stem; at least 1 each."""
    return [max(1, round(number * width / _WIDTH)) for number in channels]


def last_channels(width: int, features: int) -> list[int]:
    """Channels of the last block: ``features`` outputs, and reductions in proportion to ``width``.

    Raises:
        ValueError: if there is not one feature for each of the four branches.
    """
    _, reduced_a, _, reduced_b, _, _ = scaled(_INCEPTION5[-1], width)
    if features < 4:
        raise ValueError(f"S3D needs at least 4 features, one for each branch, not {features}")
    small = max(1, features // 8)
    large = (features - 2 * small) // 2
    return [features - 2 * small - large, reduced_a, large, reduced_b, small, small]


def _largest(x_FCKHW: Tensor, size: tuple[int, int, int], stride: tuple[int, int, int]) -> Tensor:
    """Maxima of windows of odd size, padded, so that sizes are divided by stride and rounded up."""
    padding = (size[0] // 2, size[1] // 2, size[2] // 2)
    return F.max_pool3d(x_FCKHW, size, stride, padding)


def _pointwise(inputs: int, outputs: int, *, relu: bool = True) -> NormalisedReLU:
    return NormalisedReLU(StridedPointwise(inputs, outputs), outputs, relu=relu)


def _conv3(inputs: int, outputs: int, *, relu: bool = True) -> SeparableConv:
    return SeparableConv(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), outputs, relu=relu)


def _stage(inputs: int, blocks: Sequence[Sequence[int]]) -> tuple[nn.Sequential, int]:
    """Inception blocks one after another, and the channels of the last one."""
    layers = []
    for channels in blocks:
        layers.append(Inception(inputs, channels))
        inputs = layers[-1].outputs
    return nn.Sequential(*layers), inputs
