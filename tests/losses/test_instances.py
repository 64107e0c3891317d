from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cocon.losses.instances import instance_features


def windows(map_SS: Tensor, size: int, stride: int) -> list[list[Tensor]]:
    steps = range(0, len(map_SS) - size + 1, stride)
    return [[map_SS[i : i + size, j : j + size] for j in steps] for i in steps]


def largest(map_SS: Tensor) -> Tensor:
    return torch.tensor([[w.max() for w in row] for row in windows(map_SS, 2, 2)], dtype=map_SS.dtype)


def padded(map_SS: Tensor) -> Tensor:
    result = torch.full((len(map_SS) + 2,) * 2, -torch.inf, dtype=map_SS.dtype)
    result[1:-1, 1:-1] = map_SS
    return result


RULES = {
    1: lambda m: m,
    2: lambda m: m.mean(),
    3: lambda m: m.mean(),
    4: lambda m: largest(m).mean(),
    7: lambda m: largest(largest(padded(m))).mean(),
    5: lambda m: largest(padded(m)).mean(),
    6: lambda m: largest(m).mean(),
    8: lambda m: largest(largest(m)).mean(),
    14: lambda m: largest(largest(padded(largest(m)))).mean(),
}


@pytest.mark.parametrize("size", sorted(RULES))
def test_pools_each_map_by_its_rule_and_normalises(size: int) -> None:
    torch.manual_seed(0)
    z = torch.randn(2, 3, 5, size, size, dtype=torch.float64)
    pooled = torch.stack([torch.stack([RULES[size](m).squeeze() for m in maps]) for maps in z.flatten(0, 1)])
    expected = pooled / pooled.norm(dim=1, keepdim=True)
    torch.testing.assert_close(instance_features(z), expected)


@pytest.mark.parametrize("size", range(1, 20))
def test_every_location_counts_and_none_more_than_its_neighbourhood(size: int) -> None:
    """Of a map that is 1 everywhere nothing is lost; one bright location is seen wherever it is."""
    ones = torch.ones(1, 1, 2, size, size)
    torch.testing.assert_close(instance_features(ones), torch.full((1, 2), 0.5**0.5))
    for i in range(size):
        z = torch.zeros(1, 1, 2, size, size)
        z[..., 1, :, :] = 1
        z[..., 0, i, size - 1 - i] = 100
        assert instance_features(z)[0, 0] > 0.99


def test_rows_are_the_blocks_of_the_first_clip_then_of_the_next() -> None:
    z = torch.randn(2, 3, 4, 1, 1)
    torch.testing.assert_close(instance_features(z)[4], z[1, 1, :, 0, 0] / z[1, 1].norm())


def test_rejects_input_without_blocks() -> None:
    with pytest.raises(ValueError, match="B, N, D, S, S"):
        instance_features(torch.zeros(2, 4, 2, 2))
