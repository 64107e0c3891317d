from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cocon.encoders import ENCODERS
from cocon.models.resnet2d3d import ResNet2d3d, Stem
from tests.models.agreement import parameters

RESNET18 = (2, 2, 2, 2)
RESNET34 = (3, 4, 6, 3)


def tiny(channels: int = 3) -> ResNet2d3d:
    return ResNet2d3d(channels, (1, 1, 1, 1), width=4, features=8)


def test_resnet18_has_the_parameters_of_the_paper() -> None:
    assert parameters(ResNet2d3d(3, RESNET18, 64, 256)) == 14_057_536


def test_resnet34_with_aggregator_and_predictor_has_the_parameters_of_the_paper() -> None:
    aggregator_and_predictor = 525_568
    total = parameters(ResNet2d3d(3, RESNET34, 64, 256)) + aggregator_and_predictor
    assert round(total / 1e6, 2) == 32.95


@pytest.mark.parametrize(("pixels", "size"), [(32, 1), (48, 2), (64, 2), (128, 4), (224, 7)])
def test_locations_of_the_output(pixels: int, size: int) -> None:
    output = tiny()(torch.randn(1, 3, 5, pixels, pixels))
    assert output.shape == (1, 8, size, size)
    assert ENCODERS["resnet2d3d"].locations(pixels) == size


@pytest.mark.parametrize(("frames", "steps"), [(5, 2), (1, 1), (8, 2), (9, 3)])
def test_time_is_halved_twice_then_averaged(frames: int, steps: int) -> None:
    network, seen = tiny(), []
    network.stage4.register_forward_hook(lambda _, inputs, output: seen.append(output))
    output = network(torch.randn(2, 3, frames, 32, 32))
    assert seen[0].shape[2] == steps
    torch.testing.assert_close(output, seen[0].sum(2) / steps)


def test_width_and_features_set_the_channels_of_the_stages() -> None:
    network = ResNet2d3d(2, (1, 2, 1, 1), width=6, features=10)
    assert network.stem.conv.weight.shape == (6, 2, 7, 7)
    assert [
        stage[-1].norm2.num_features for stage in network.children() if isinstance(stage, nn.Sequential)
    ] == [
        6,
        12,
        24,
        10,
    ]


def test_last_stage_has_no_final_relu() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 5, 32, 32)
    network = tiny().eval()
    output = network(x)
    assert (output < 0).any()
    assert [block.final_relu for block in network.stage4] == [False]
    assert all(
        block.final_relu for stage in (network.stage1, network.stage2, network.stage3) for block in stage
    )


def as_3d(network: ResNet2d3d, x: Tensor) -> Tensor:
    """The encoder once more, with 3D operations only and the order of the paper: norm, ReLU, pool."""

    def conv(x: Tensor, weight: Tensor, stride: int, temporal: bool) -> Tensor:
        if not temporal:
            weight = weight.unsqueeze(2)
        strides = (stride if temporal else 1, stride, stride)
        padding = tuple(size // 2 for size in weight.shape[2:])
        return F.conv3d(x, weight, None, strides, padding)

    def norm(x: Tensor, layer: nn.Module) -> Tensor:
        return F.batch_norm(x, None, None, layer.weight, layer.bias, training=True)  # type: ignore[arg-type]

    y = F.relu(norm(conv(x, network.stem.conv.weight, 2, False), network.stem.norm))
    y = F.max_pool3d(y, (1, 3, 3), (1, 2, 2), (0, 1, 1))
    for stage in (network.stage1, network.stage2, network.stage3, network.stage4):
        for block in stage:
            temporal = isinstance(block.conv1, nn.Conv3d)
            stride = block.conv1.stride[-1]
            h = F.relu(norm(conv(y, block.conv1.weight, stride, temporal), block.norm1))
            h = norm(conv(h, block.conv2.weight, 1, temporal), block.norm2)
            if isinstance(block.shortcut, nn.Sequential):
                pointwise = block.shortcut[0].weight[..., None, None]
                pointwise = pointwise[..., None] if temporal else pointwise
                y = norm(conv(y, pointwise, stride, temporal), block.shortcut[1])
            y = F.relu(h + y) if block.final_relu else h + y
    return y.mean(2)


@pytest.mark.parametrize("channels", [1, 3])
def test_equals_the_plain_3d_network_in_values_and_gradients(channels: int) -> None:
    torch.manual_seed(0)
    network = ResNet2d3d(channels, (1, 2, 1, 1), width=4, features=8).double()
    x = torch.randn(3, channels, 5, 40, 40, dtype=torch.float64)
    expected = as_3d(network, x)
    actual = network(x)
    torch.testing.assert_close(actual, expected)
    direction = torch.randn_like(actual)
    names, weights = zip(*network.named_parameters(), strict=True)
    wanted = torch.autograd.grad(expected, weights, direction)
    for name, ours, theirs in zip(
        names, torch.autograd.grad(actual, weights, direction), wanted, strict=True
    ):
        torch.testing.assert_close(ours, theirs, msg=lambda text, name=name: f"{name}: {text}")


def test_memory_order_of_the_input_does_not_change_the_output() -> None:
    network = tiny().double()
    x = torch.randn(2, 3, 5, 32, 32, dtype=torch.float64)
    torch.testing.assert_close(network(x.contiguous(memory_format=torch.channels_last_3d)), network(x))


@pytest.mark.parametrize("size", [(32, 32), (31, 33), (8, 9)])
def test_stem_of_one_channel_is_an_ordinary_convolution(size: tuple[int, int]) -> None:
    stem = Stem(1, 4).double()
    x = torch.randn(2, 1, *size, dtype=torch.float64)
    expected = F.relu(stem.pool(stem.norm(F.conv2d(x, stem.conv.weight, stride=2, padding=3))))
    torch.testing.assert_close(stem(x), expected)


def test_keeps_running_statistics_for_evaluation() -> None:
    network = tiny()
    before = network.stem.norm.running_mean.clone()
    network(torch.randn(2, 3, 5, 32, 32) + 3)
    assert not torch.equal(network.stem.norm.running_mean, before)
    network.eval()
    x = torch.randn(2, 3, 5, 32, 32)
    torch.testing.assert_close(network(x)[:1], network(x[:1]), rtol=1e-4, atol=1e-5)


def test_kaiming_initialisation() -> None:
    torch.manual_seed(0)
    weight = ResNet2d3d(3, RESNET18, 64, 256).stage4[0].conv2.weight
    assert weight.std().item() == pytest.approx((2 / (256 * 27)) ** 0.5, rel=0.01)


@pytest.mark.parametrize("shape", [(2, 3, 32, 32), (2, 2, 5, 32, 32)])
def test_rejects_input_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected"):
        tiny()(torch.zeros(shape))


def test_rejects_another_number_of_stages() -> None:
    with pytest.raises(ValueError, match="4 stages"):
        ResNet2d3d(3, (1, 1, 1), 4, 8)
