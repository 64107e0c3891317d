from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cocon.models.s3d import Inception, S3d, last_channels, scaled
from tests.models.agreement import assert_agree, batch_norm, parameters

PUBLISHED, CLASSIFIER = 8_320_048, 400 * (1024 + 1)
"""Parameters of torchvision's s3d for RGB and 400 classes, and those of its last layer."""


def test_parameters_as_published() -> None:
    assert parameters(S3d(3, width=64, features=1024)) == PUBLISHED - CLASSIFIER


@pytest.mark.parametrize("channels", [1, 2, 17])
def test_channels_of_the_view_change_the_first_convolution_only(channels: int) -> None:
    added = (channels - 3) * 49 * 64
    assert parameters(S3d(channels, width=64, features=1024)) == PUBLISHED - CLASSIFIER + added


def test_parameters_with_256_features() -> None:
    assert parameters(S3d(3, width=64, features=256)) == 6_588_320


@pytest.mark.parametrize(
    ("features", "expected"),
    [(1024, (384, 384, 128, 128)), (256, (96, 96, 32, 32)), (100, (38, 38, 12, 12)), (4, (1, 1, 1, 1))],
)
def test_features_are_divided_among_the_branches(features: int, expected: tuple[int, ...]) -> None:
    direct, _, a, _, b, pooled = last_channels(64, features)
    assert (direct, a, b, pooled) == expected
    assert sum(expected) == features


@pytest.mark.parametrize("features", range(4, 40))
def test_every_number_of_features(features: int) -> None:
    direct, _, a, _, b, pooled = last_channels(64, features)
    assert direct + a + b + pooled == features
    assert min(direct, a, b, pooled) >= 1


def test_too_few_features() -> None:
    with pytest.raises(ValueError, match="at least 4 features"):
        S3d(3, width=64, features=3)


def test_width_scales_all_channels() -> None:
    assert scaled((64, 24, 16), 32) == [32, 12, 8]
    assert scaled((16,), 1) == [1]
    outputs = [block.outputs for block in S3d(3, width=32, features=128).stage4]
    assert outputs == [256, 256, 256, 264, 416]


def reference(block: Inception, x: Tensor, relu: bool) -> Tensor:
    """The block once more, with plain 3D convolutions and the statistics of the batch written out."""

    def unit(x: Tensor, layers: nn.Sequential, relu: bool = True) -> Tensor:
        layer, norm = layers[0], layers[1]
        if isinstance(layer, nn.Linear):
            x = F.conv3d(x, layer.weight[:, :, None, None, None])
        elif isinstance(layer, nn.Conv3d):
            x = F.conv3d(x, layer.weight, padding=(1, 0, 0))
        else:
            x = F.conv3d(x, layer.layer.weight[:, :, None], padding=(0, 1, 1))
        x = batch_norm(x, norm)
        return x.clamp(min=0) if relu else x

    direct, a, b, pooled = block.branches
    separable = [unit(unit(unit(x, branch[0]), branch[1][0]), branch[1][1], relu) for branch in (a, b)]
    around = F.pad(x, (1,) * 6, value=-torch.inf)
    windows = around.unfold(2, 3, 1).unfold(3, 3, 1).unfold(4, 3, 1)
    return torch.cat(
        [unit(x, direct, relu), *separable, unit(windows.amax((5, 6, 7)), pooled[1], relu)], dim=1
    )


@pytest.mark.parametrize("relu", [True, False])
def test_a_block_equals_the_plain_one_in_values_and_gradients(relu: bool) -> None:
    torch.manual_seed(0)
    block = Inception(5, (2, 3, 4, 2, 3, 1), relu=relu).double()
    x = torch.randn(2, 5, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    actual = assert_agree(block, lambda x: reference(block, x, relu), x)
    assert block.outputs == actual.shape[1] == 10
    assert (actual < 0).any() != relu


def test_sizes_on_the_way() -> None:
    """Those of figure 2 of the paper for 64 frames of 224 px, for 16 frames of 64 px."""
    network, seen = S3d(1, width=4, features=8), {}
    for name, module in network.named_children():
        module.register_forward_hook(
            lambda _, inputs, output, name=name: seen.update({name: tuple(output.shape[2:])})
        )
    network(torch.randn(1, 1, 16, 64, 64))
    assert seen == {
        "stem1": (8, 32, 32),
        "stem2": (8, 16, 16),
        "stage3": (8, 8, 8),
        "stage4": (4, 4, 4),
        "stage5": (2, 2, 2),
        "last": (2, 2, 2),
    }


def test_time_is_averaged() -> None:
    network, seen = S3d(1, width=4, features=8), []
    network.last.register_forward_hook(lambda _, inputs, output: seen.append(output))
    output = network(torch.randn(1, 1, 17, 32, 32))
    assert seen[0].shape[2] == 3
    torch.testing.assert_close(output, seen[0].sum(2) / 3)
