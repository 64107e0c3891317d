"""Memory-efficient cross-entropy that never stores all scores, for L_cpc and the InfoNCE between views.

With 64 clips the scores of one view are a matrix of 3072 x 3072. The usual way keeps three of that size:
scores, their logarithmic softmax, and its gradient. Here the gradient is computed along with the loss, for a
few rows at a time, so that only a slice of one matrix exists at any moment, and nothing is computed twice.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

SLICE, GPU_SLICE = 2**20, 2**24
"""Number of scores computed at a time (4 MB in float32; on a GPU 64 MB, for fewer kernels), at least one
row."""


def matching_cross_entropy(
    queries_RD: Tensor, candidates_CD: Tensor, temperature: float, first: int = 0
) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy of every query against all candidates; query i belongs to candidate first + i.

    The score of query i and candidate j is q_i . c_j / temperature. Gradient flows to queries and
    candidates, once (there is no second derivative).

    Args:
        queries_RD: R vectors.
        candidates_CD: C vectors, C >= first + R.
        temperature: tau, > 0.
        first: number of the candidate that belongs to query 0.

    Returns:
        The loss, and the fraction of queries whose own candidate scores highest (no gradient).

    Raises:
        ValueError: if the temperature is not positive.
    """
    if temperature <= 0:
        raise ValueError(f"the temperature must be positive, not {temperature}")
    learning = torch.is_grad_enabled() and (queries_RD.requires_grad or candidates_CD.requires_grad)
    arguments = queries_RD, candidates_CD, temperature, first, learning
    loss, accuracy = _MatchingCrossEntropy.apply(*arguments)  # type: ignore[no-untyped-call]
    return loss, accuracy


class _MatchingCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, queries: Tensor, candidates: Tensor, temperature: float, first: int, learning: bool
    ) -> tuple[Tensor, Tensor]:
        rows, scaled = len(queries), queries / temperature
        targets = torch.arange(first, first + rows, device=queries.device)
        losses = queries.new_empty(rows)
        hits = torch.empty_like(targets, dtype=torch.bool)
        grad_queries = torch.empty_like(queries) if learning else None
        grad_candidates = torch.zeros_like(candidates) if learning else None
        step = max(1, (SLICE if queries.device.type == "cpu" else GPU_SLICE) // len(candidates))
        for begin in range(0, rows, step):
            part = slice(begin, begin + step)
            scores = scaled[part] @ candidates.t()
            highest, found = scores.max(1)
            torch.eq(found, targets[part], out=hits[part])
            own = scores.diagonal(first + begin)
            torch.sub(highest, own, out=losses[part])
            total = scores.sub_(highest[:, None]).exp_().sum(1)
            losses[part].add_(total.log())
            if grad_queries is not None and grad_candidates is not None:
                scores.div_(total[:, None])  # the softmax; less 1 at the own candidate it is the gradient
                own.sub_(1)
                torch.mm(scores, candidates, out=grad_queries[part])
                grad_candidates.addmm_(scores.t(), scaled[part])
        if grad_queries is not None and grad_candidates is not None:
            ctx.save_for_backward(grad_queries.div_(rows * temperature), grad_candidates.div_(rows))
        accuracy = hits.to(losses.dtype).mean()
        ctx.mark_non_differentiable(accuracy)
        return losses.mean(), accuracy

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        grad_queries, grad_candidates = ctx.saved_tensors
        return grad * grad_queries, grad * grad_candidates, None, None, None
