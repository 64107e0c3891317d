"""How a network is compared with a second implementation of it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def parameters(module: nn.Module) -> int:
    """How many parameters a module has."""
    return sum(p.numel() for p in module.parameters())


def batch_norm(x: Tensor, layer: nn.Module) -> Tensor:
    """Batch norm (B, C, T, H, W) with the statistics of the batch, written out."""
    mean = x.mean((0, 2, 3, 4), keepdim=True)
    variance = (x - mean).square().mean((0, 2, 3, 4), keepdim=True)
    scaled = (x - mean) / (variance + 1e-5).sqrt()
    return scaled * layer.weight[:, None, None, None] + layer.bias[:, None, None, None]  # type: ignore[index]


def assert_agree(block: nn.Module, reference: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """A block has the values and the gradients, also with respect to ``x``, of a reference; its output."""
    for parameter in block.parameters():
        if parameter.dim() == 1:
            nn.init.uniform_(parameter, 0.5, 1.5)
    actual, expected = block(x), reference(x)
    torch.testing.assert_close(actual, expected)
    direction = torch.randn_like(actual)
    inputs = (x, *block.parameters())
    for ours, theirs in zip(
        torch.autograd.grad(actual, inputs, direction),
        torch.autograd.grad(expected, inputs, direction),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)
    return actual
