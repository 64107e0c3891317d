"""Gathering tensors over the processes of a distributed run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

_alone = False


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """A context without gathering or summing: every process computes as if it were the only one."""
    global _alone
    before, _alone = _alone, True
    try:
        yield
    finally:
        _alone = before


def rank_and_world_size() -> tuple[int, int]:
    """This process's rank and the number of processes; (0, 1) outside a distributed run and :func:`alone`."""
    if not _alone and dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def gather_with_gradient(x: Tensor) -> Tensor:
    """The rows of all processes in rank order, (world size * M, ...); gradients flow back to each process.

    The gradient of a row is the sum of the gradients that all processes' losses send to it. After the
    averaging of DistributedDataParallel, a loss on gathered rows therefore has the gradient of a single
    process with the whole batch, whether every process computes all of the loss or the mean of its part.

    Args:
        x: (M, ...), the same shape on every process.

    Returns:
        ``x`` itself when torch.distributed is not initialised or there is one process.
    """
    if rank_and_world_size()[1] == 1:
        return x
    gathered: Tensor = _Gather.apply(x)  # type: ignore[no-untyped-call]
    return gathered


def sum_with_gradient(x: Tensor) -> Tensor:
    """The elementwise sum of ``x`` over all processes; gradients flow back to each process.

    Args:
        x: the same shape on every process.

    Returns:
        ``x`` itself when torch.distributed is not initialised or there is one process.
    """
    if rank_and_world_size()[1] == 1:
        return x
    total: Tensor = _Sum.apply(x)  # type: ignore[no-untyped-call]
    return total


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.contiguous().clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        total = grad.contiguous().clone()
        dist.all_reduce(total)
        return total


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.rows = len(x)
        rank, world_size = rank_and_world_size()
        ctx.first = rank * len(x)
        parts = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(world_size)]
        dist.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        total = grad.contiguous().clone()
        dist.all_reduce(total)
        return total[ctx.first : ctx.first + ctx.rows]
