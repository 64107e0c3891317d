"""The encoder R(2+1)D-18: a ResNet-18 with each 3D convolution split into a spatial and a temporal one.

Source: Tran et al. 2018, arXiv 1711.11248, with the widths of torchvision's ``r2plus1d_18``: both
convolutions of a block have the hidden channels of the first one, and the stem has 45.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from cocon.config.schema import Network
from cocon.models.encoder import EncoderNetwork
from cocon.models.layers import Conv7x7, PerFrame, StridedPointwise, TemporalConv, initialise

_STEM_HIDDEN = 45
_WIDTH = 64


def hidden_channels(inputs: int, outputs: int) -> int:
    """Channels between the spatial and the temporal convolution, for as many weights as a 3x3x3 one."""
    return (27 * inputs * outputs) // (9 * inputs + 3 * outputs)


class Conv2plus1d(nn.Sequential):
    """A spatial convolution, batch norm, ReLU, and a temporal convolution of size 3.

    Args:
        spatial: the convolution of frames.
        hidden: its channels.
        outputs: channels of the temporal convolution.
        stride: of the temporal convolution.
    """

    def __init__(self, spatial: nn.Module, hidden: int, outputs: int, stride: int = 1) -> None:
        super().__init__(
            PerFrame(spatial),
            nn.BatchNorm3d(hidden),
            nn.ReLU(inplace=True),
            TemporalConv(hidden, outputs, stride=stride),
        )


class Block(nn.Module):
    """Two (2+1)D convolutions with batch norm and a residual connection.

    The shortcut is a 1x1x1 convolution with batch norm wherever the shape changes. Stride 2 halves time as
    well as space.
    """

    def __init__(self, inputs: int, outputs: int, *, stride: int, final_relu: bool = True) -> None:
        super().__init__()
        hidden = hidden_channels(inputs, outputs)
        self.conv1 = _conv3(inputs, hidden, outputs, stride)
        self.norm1 = nn.BatchNorm3d(outputs)
        self.conv2 = _conv3(outputs, hidden, outputs, 1)
        self.norm2 = nn.BatchNorm3d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(StridedPointwise(inputs, outputs, stride), nn.BatchNorm3d(outputs))
        self.final_relu = final_relu

    def forward(self, x_FCKHW: Tensor) -> Tensor:
        """(F, inputs, K, H, W) to (F, outputs, ...), the other sizes divided by stride, rounded up."""
        y = F.relu(self.norm1(self.conv1(x_FCKHW)), inplace=True)
        y = self.norm2(self.conv2(y))
        y += self.shortcut(x_FCKHW)  # in place: batch norm does not need its output again
        return F.relu(y, inplace=True) if self.final_relu else y


class R2plus1d18(EncoderNetwork):
    """R(2+1)D-18: a (2+1)D stem and four stages of two blocks.

    As published except for the end: the last stage has ``features`` channels (published: 512) and no final
    ReLU.

    Args:
        channels: channels of the view.
        width: channels of the stem and stage 1 (published: 64); stages 2 and 3 have twice and four times as
            many.
        features: channels of stage 4, D.
    """

    def __init__(self, channels: int, width: int, features: int) -> None:
        super().__init__(channels, features)
        hidden = max(1, round(_STEM_HIDDEN * width / _WIDTH))
        self.stem = nn.Sequential(
            Conv2plus1d(Conv7x7(channels, hidden), hidden, width),
            nn.BatchNorm3d(width),
            nn.ReLU(inplace=True),
        )
        self.stage1 = _stage(width, width, stride=1)
        self.stage2 = _stage(width, 2 * width, stride=2)
        self.stage3 = _stage(2 * width, 4 * width, stride=2)
        self.stage4 = _stage(4 * width, features, stride=2, last=True)
        self.apply(initialise)

    def encode(self, x_FCKHW: Tensor) -> Tensor:
        """Blocks (F, C, K, H, W) to (F, D, S, S) with S = ceil(H / 16); 5 frames become one time step."""
        y: Tensor = self.stage2(self.stage1(self.stem(x_FCKHW)))
        result: Tensor = self.stage4(self.stage3(y)).mean(2)
        return result

    @staticmethod
    def fewest_weights(network: Network) -> int:
        """Weights of the last convolution of every stage."""
        widths = (network.width, 2 * network.width, 4 * network.width, network.features)
        return sum(12 * channels * hidden_channels(channels, channels) for channels in widths)


def _conv3(inputs: int, hidden: int, outputs: int, stride: int) -> Conv2plus1d:
    spatial = nn.Conv2d(inputs, hidden, 3, stride=stride, padding=1, bias=False)
    return Conv2plus1d(spatial, hidden, outputs, stride)


def _stage(inputs: int, outputs: int, *, stride: int, last: bool = False) -> nn.Sequential:
    return nn.Sequential(
        Block(inputs, outputs, stride=stride),
        Block(outputs, outputs, stride=1, final_relu=not last),
    )
