from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from cocon.models.conv3d import Conv3x3x3, TapwiseConv
from cocon.models.layers import TemporalConv

SIZES = [(5, 6, 6), (3, 3, 3), (2, 2, 2), (2, 1, 1), (1, 1, 1), (1, 4, 7)]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", SIZES)
def test_equals_the_library_convolution(size: tuple[int, int, int], stride: int) -> None:
    torch.manual_seed(0)
    conv = Conv3x3x3(3, 4, stride).double()
    x = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    actual = conv(x)
    expected = F.conv3d(x, conv.weight, stride=stride, padding=1)
    torch.testing.assert_close(actual, expected)
    direction = torch.randn_like(expected)
    for ours, theirs in zip(
        torch.autograd.grad(actual, (x, conv.weight), direction),
        torch.autograd.grad(expected, (x, conv.weight), direction),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [(3, 1, 1), (5, 1, 1), (7, 1, 1), (1, 3, 5), (1, 1, 1)])
@pytest.mark.parametrize("frames", [1, 2, 5])
def test_other_sizes_equal_the_library_convolution(
    frames: int, size: tuple[int, int, int], stride: int
) -> None:
    torch.manual_seed(0)
    conv = TapwiseConv(3, 4, size, (stride, 1, 2)).double()
    x = torch.randn(2, 3, frames, 4, 5, dtype=torch.float64, requires_grad=True)
    actual = conv(x)
    padding = tuple(taps // 2 for taps in size)
    expected = F.conv3d(x, conv.weight, stride=(stride, 1, 2), padding=padding)
    assert expected.shape[2:] == (-(-frames // stride), 4, 3)
    torch.testing.assert_close(actual, expected)
    direction = torch.randn_like(expected)
    for ours, theirs in zip(
        torch.autograd.grad(actual, (x, conv.weight), direction),
        torch.autograd.grad(expected, (x, conv.weight), direction),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("stride", [1, 2])
def test_gradients_are_those_of_finite_differences(stride: int) -> None:
    conv = Conv3x3x3(2, 2, stride).double()
    x = torch.randn(1, 2, 3, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, _: conv(x), (x, conv.weight))


def test_frozen_weight_gets_no_gradient() -> None:
    conv = Conv3x3x3(2, 2).requires_grad_(False)
    x = torch.randn(1, 2, 2, 2, 2, requires_grad=True)
    conv(x).sum().backward()
    assert x.grad is not None
    assert conv.weight.grad is None


def test_runs_under_autocast() -> None:
    conv = Conv3x3x3(2, 2)
    with torch.autocast("cpu", torch.bfloat16):
        output = conv(torch.randn(1, 2, 2, 2, 2))
    assert output.dtype == torch.bfloat16
    output.float().sum().backward()
    assert conv.weight.grad is not None
    assert conv.weight.grad.dtype == torch.float32


@pytest.mark.parametrize("frames", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kind", [Conv3x3x3, TemporalConv])
def test_gradients_in_bfloat16(kind: type[Conv3x3x3 | TemporalConv], frames: int, stride: int) -> None:
    """Against float32; oneDNN's own weight gradient is off by any factor for 2 frames."""
    torch.manual_seed(0)
    layer = kind(32, 32, stride=stride)
    x = torch.randn(4, 32, frames, 2, 2)
    y_shape = layer(x).shape
    gradients = []
    grad = torch.randn(y_shape)
    for enabled in (False, True):
        inputs = x.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            y = layer(inputs)
        assert y.dtype == (torch.bfloat16 if enabled else torch.float32)
        gradients.append(torch.autograd.grad((y.float() * grad).sum(), (inputs, layer.weight)))
    for exact, rounded in zip(*gradients, strict=True):
        assert (rounded - exact).abs().max() < 0.03 * exact.abs().max()
