from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cocon.models.layers import Conv7x7, PerFrame, StridedPointwise, TemporalConv, initialise


def assert_same(ours: Tensor, theirs: Tensor, inputs: tuple[Tensor, ...]) -> None:
    """Equal values, and equal gradients with respect to the inputs."""
    torch.testing.assert_close(ours, theirs)
    direction = torch.randn_like(theirs)
    for mine, other in zip(
        torch.autograd.grad(ours, inputs, direction),
        torch.autograd.grad(theirs, inputs, direction),
        strict=True,
    ):
        torch.testing.assert_close(mine, other)


def block(channels: int, frames: int, pixels: int) -> Tensor:
    """Activations of three blocks, with the channels last in memory."""
    x = torch.randn(3, frames, pixels, pixels, channels, dtype=torch.float64)
    return x.permute(0, 4, 1, 2, 3).requires_grad_()


@pytest.mark.parametrize("stride", [1, 2])
def test_a_pointwise_layer_is_a_convolution(stride: int) -> None:
    layer, x = StridedPointwise(4, 8, stride).double(), block(4, 5, 7)
    expected = F.conv3d(x, layer.weight[..., None, None, None], stride=stride)
    assert_same(layer(x), expected, (x, layer.weight))
    torch.testing.assert_close(layer(x[:, :, 0]), expected[:, :, 0])


@pytest.mark.parametrize("stride", [1, 2])
def test_a_layer_per_frame_is_a_3d_convolution_of_one_frame(stride: int) -> None:
    layer = PerFrame(nn.Conv2d(2, 5, 3, stride=stride, padding=1, bias=False)).double()
    x, weight = block(2, 4, 7), layer.layer.weight
    expected = F.conv3d(x, weight[:, :, None], stride=(1, stride, stride), padding=(0, 1, 1))
    assert_same(layer(x), expected, (x, weight))


def test_frames_are_neither_copied_nor_laid_out_otherwise() -> None:
    seen = []
    layer = PerFrame(nn.Identity())
    layer.layer.register_forward_hook(lambda _, inputs, output: seen.append(inputs[0]))
    x = block(2, 4, 6)
    output = layer(x)
    assert seen[0].shape == (12, 2, 6, 6)
    assert seen[0].data_ptr() == x.data_ptr() == output.data_ptr()
    assert seen[0].is_contiguous(memory_format=torch.channels_last)
    assert output.stride() == x.stride()


@pytest.mark.parametrize(("channels", "pixels"), [(1, 8), (1, 9), (3, 8)])
def test_the_first_convolution_is_an_ordinary_one(channels: int, pixels: int) -> None:
    layer = Conv7x7(channels, 4).double()
    x = torch.randn(2, channels, 9, pixels, dtype=torch.float64, requires_grad=True)
    expected = F.conv2d(x, layer.weight, stride=2, padding=3)
    assert_same(layer(x), expected, (x, layer.weight))


def test_initialisation_by_fan_out() -> None:
    torch.manual_seed(0)
    layers = {
        64 * 9: nn.Conv2d(32, 64, 3),
        64 * 3: TemporalConv(200, 64),
        256: StridedPointwise(64, 256),
        64 * 49: Conv7x7(3, 64),
    }
    for fan_out, layer in layers.items():
        initialise(layer)
        assert layer.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.03)
        assert layer.bias is None or not isinstance(layer, TemporalConv | StridedPointwise | Conv7x7)
