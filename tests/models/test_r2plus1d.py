from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cocon.models.r2plus1d import Block, R2plus1d18, hidden_channels
from tests.models.agreement import assert_agree, batch_norm, parameters

PUBLISHED, CLASSIFIER = 31_505_325, 400 * (512 + 1)
"""Parameters of torchvision's r2plus1d_18 for RGB and 400 classes, and those of its last layer."""


def test_parameters_as_published() -> None:
    assert parameters(R2plus1d18(3, width=64, features=512)) == PUBLISHED - CLASSIFIER


@pytest.mark.parametrize("channels", [1, 2, 17])
def test_channels_of_the_view_change_the_first_convolution_only(channels: int) -> None:
    added = (channels - 3) * 49 * 45
    assert parameters(R2plus1d18(channels, width=64, features=512)) == PUBLISHED - CLASSIFIER + added


def test_parameters_with_256_features() -> None:
    assert parameters(R2plus1d18(3, width=64, features=256)) == 14_955_193


def test_hidden_channels_keep_the_weights_of_a_3d_convolution() -> None:
    """Equation of section 3.5 of the paper, t = d = 3."""
    assert hidden_channels(64, 64) == 144
    for inputs, outputs in [(64, 128), (128, 128), (256, 512), (4, 8)]:
        hidden = hidden_channels(inputs, outputs)
        weights = 9 * inputs * hidden + 3 * hidden * outputs
        assert 0 <= 27 * inputs * outputs - weights < 9 * inputs + 3 * outputs


def reference(block: Block, x: Tensor, stride: int) -> Tensor:
    """The block once more, with plain 3D convolutions and the statistics of the batch written out."""

    def two_plus_one(x: Tensor, layers: nn.Sequential, stride: int) -> Tensor:
        space, time = layers[0].layer.weight[:, :, None], layers[3].weight
        x = F.conv3d(x, space, stride=(1, stride, stride), padding=(0, 1, 1))
        return F.conv3d(F.relu(batch_norm(x, layers[1])), time, stride=(stride, 1, 1), padding=(1, 0, 0))

    y = F.relu(batch_norm(two_plus_one(x, block.conv1, stride), block.norm1))
    y = batch_norm(two_plus_one(y, block.conv2, 1), block.norm2)
    if isinstance(block.shortcut, nn.Sequential):
        pointwise = block.shortcut[0].weight[:, :, None, None, None]
        x = batch_norm(F.conv3d(x, pointwise, stride=stride), block.shortcut[1])
    return F.relu(y + x) if block.final_relu else y + x


@pytest.mark.parametrize(("outputs", "stride", "final_relu"), [(6, 2, True), (4, 1, True), (6, 2, False)])
def test_a_block_equals_the_plain_one_in_values_and_gradients(
    outputs: int, stride: int, final_relu: bool
) -> None:
    torch.manual_seed(0)
    block = Block(4, outputs, stride=stride, final_relu=final_relu).double()
    x = torch.randn(2, 4, 5, 7, 6, dtype=torch.float64, requires_grad=True)
    actual = assert_agree(block, lambda x: reference(block, x, stride), x)
    assert (actual < 0).any() != final_relu


def test_time_is_halved_three_times_then_averaged() -> None:
    network, seen = R2plus1d18(1, width=2, features=4), []
    network.stage4.register_forward_hook(lambda _, inputs, output: seen.append(output))
    output = network(torch.randn(1, 1, 17, 16, 16))
    assert seen[0].shape[2] == 3
    torch.testing.assert_close(output, seen[0].sum(2) / 3)


def test_width_sets_the_channels_of_the_stages() -> None:
    network = R2plus1d18(2, width=32, features=100)
    assert [network.stem[0][0].layer.out_channels, network.stem[0][3].out_channels] == [22, 32]
    stages = (network.stage1, network.stage2, network.stage3, network.stage4)
    assert [stage[-1].norm2.num_features for stage in stages] == [32, 64, 128, 100]
    assert [block.final_relu for stage in stages for block in stage] == [True] * 7 + [False]
