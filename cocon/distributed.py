"""Gathering tensors over the processes of a distributed run."""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterator, Mapping
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

KeyT = TypeVar("KeyT", bound=Hashable)
# torch 2.13 has renamed both
_all_gather = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor
_reduce_scatter = getattr(dist, "reduce_scatter_single", None) or dist.reduce_scatter_tensor
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
    return gather_together({"x": x})["x"]


def gather_together(parts: Mapping[KeyT, Tensor]) -> dict[KeyT, Tensor]:
    """:func:`gather_with_gradient` of several tensors: one call to all processes, and one for the gradients.

    Args:
        parts: (M, ...) each, which may differ in shape and type; names, their order and shapes are the same
            on every process.

    Returns:
        (world size * M, ...) under the same names; the tensors themselves when torch.distributed is not
        initialised or there is one process.
    """
    if rank_and_world_size()[1] == 1 or not parts:
        return dict(parts)
    gathered = _Gather.apply(*parts.values())  # type: ignore[no-untyped-call]
    return dict(zip(parts, gathered, strict=True))


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
    """All parts travel as bytes in one buffer, so their types may differ; their gradients as numbers."""

    @staticmethod
    def forward(ctx: Any, *parts: Tensor) -> tuple[Tensor, ...]:
        ctx.parts = [(part.shape, part.dtype) for part in parts]
        ctx.size = rank_and_world_size()[1]
        own = torch.cat([part.contiguous().view(-1).view(torch.uint8) for part in parts])
        everyone = own.new_empty(ctx.size * len(own))
        _all_gather(everyone, own)
        sizes = [part.numel() * part.element_size() for part in parts]
        columns = everyone.view(ctx.size, -1).split(sizes, dim=1)
        gathered = [
            column.contiguous().view(part.dtype).view(-1, *part.shape[1:])
            for column, part in zip(columns, parts, strict=True)
        ]
        ctx.mark_non_differentiable(*[x for x in gathered if not x.is_floating_point()])
        return tuple(gathered)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        needed = [place for place, wanted in enumerate(ctx.needs_input_grad) if wanted]
        columns = torch.cat([grads[place].reshape(ctx.size, -1) for place in needed], dim=1)
        total = columns.new_empty(columns.shape[1])
        _reduce_scatter(total, columns.view(-1))
        result: list[Tensor | None] = [None] * len(grads)
        sizes = [ctx.parts[place][0].numel() for place in needed]
        for place, part in zip(needed, total.split(sizes), strict=True):
            shape, dtype = ctx.parts[place]
            result[place] = part.view(shape).to(dtype)
        return tuple(result)
