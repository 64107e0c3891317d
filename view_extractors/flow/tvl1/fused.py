"""A level of TV-L1 by the fused kernels of :mod:`~view_extractors.flow.tvl1.kernels`.

The result is that of :func:`view_extractors.flow.tvl1.batched.refine`. A pair whose flow has converged leaves
the batch; the host waits for the device once per warp, to find these pairs. Importing this imports Triton.
"""

from __future__ import annotations

import torch
from torch import Tensor

from view_extractors.flow.tvl1 import batched
from view_extractors.flow.tvl1.kernels import iteration, warping
from view_extractors.flow.tvl1.scheme import Scheme

#: of dual and data term between launches; the rounding changes the flow less than the CPU differs from OpenCV
KEPT = torch.float16


def refine(
    level_T1HW: Tensor, flow: Tensor, dual: Tensor, scheme: Scheme, number: int
) -> tuple[Tensor, Tensor]:
    """Flow and dual after the warps of a level, see :func:`view_extractors.flow.tvl1.batched.refine`."""
    level = _Level(level_T1HW, flow, dual, scheme, number)
    for last in [False] * (scheme.warps_at(number) - 1) + [True]:
        level.warp(measured=not last)
        if not last and not level.go_on():
            break
    return level.result()


class _Level:
    """The planes of a level. ``flow`` and ``dual`` are not kept: their memory is used."""

    def __init__(self, level_T1HW: Tensor, flow: Tensor, dual: Tensor, scheme: Scheme, number: int) -> None:
        self._scheme = scheme
        self._first = level_T1HW[:-1].contiguous()
        self._second = batched.with_gradient(level_T1HW[1:]).contiguous()
        self._flow, self._dual = flow.contiguous(), dual.to(KEPT).contiguous()
        self._filtered, self._spare = torch.empty_like(self._flow), torch.empty_like(self._flow)
        self._spare_dual, self._data = torch.empty_like(self._dual), torch.empty_like(self._dual)
        self._depths = iteration.depths(scheme.iterations_at(number))
        self._pairs = torch.arange(len(flow), dtype=torch.int32, device=flow.device)
        self._done: tuple[Tensor, Tensor] | None = None

    def warp(self, measured: bool) -> None:
        """Filter, warp and iterate the pairs that still move; the change of their flow is measured."""
        scheme, pairs, before = self._scheme, self._pairs, self._flow
        flow = batched.median_filter(before, 5) if scheme.median_filter == 5 else before
        weight, median = scheme.lambda_ * scheme.theta, scheme.median_filter == 3
        planes = (self._first, self._second, self._data)
        warping.linearise(pairs, flow.contiguous(), self._filtered, *planes, weight, median)
        now, other = (self._filtered, self._dual), (self._spare, self._spare_dual)
        size = before.shape[2:]
        parts = iteration.programs(size[0], size[1], self._depths[-1])
        self._changes = before.new_empty(len(pairs), parts) if measured else None
        for index, depth in enumerate(self._depths):
            changes = self._changes if index == len(self._depths) - 1 else None
            numbers = (scheme.theta, scheme.rate, depth)
            iteration.iterate(pairs, now, self._data, other, before, changes, *numbers)
            now, other = other, now
        (self._flow, self._dual), (self._spare, self._spare_dual) = now, other
        self._filtered = before

    def go_on(self) -> bool:
        """Drop the pairs whose flow has converged; return whether any others are left."""
        assert self._changes is not None
        pixels = self._first[0].numel()
        moves = iteration.still_moving(self._changes, pixels, self._scheme.epsilon).bool()
        count = int(moves.sum())
        if count == len(moves):
            return True
        if count:
            self._keep(self._pairs[~moves])
            self._pairs = self._pairs[moves]
        return count > 0

    def result(self) -> tuple[Tensor, Tensor]:
        """Flow and dual of all pairs."""
        if self._done is None:
            self._done = self._flow, self._dual
        else:
            self._keep(self._pairs)
        flow, dual = self._done
        return flow, dual.to(flow.dtype)

    def _keep(self, pairs: Tensor) -> None:
        """Put flow and dual of these pairs aside; the next warps of others overwrite them."""
        if self._done is None:
            self._done = torch.empty_like(self._flow), torch.empty_like(self._dual)
        index = pairs.long()
        for done, now in zip(self._done, (self._flow, self._dual), strict=True):
            done[index] = now[index]
