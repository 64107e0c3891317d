from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from cocon.losses import cross_entropy
from cocon.losses.cpc import cpc_loss
from cocon.losses.cross_entropy import matching_cross_entropy


def unit(rows: int, features: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return F.normalize(torch.randn(rows, features, dtype=dtype), dim=1)


def reference(queries: Tensor, candidates: Tensor, temperature: float, first: int) -> tuple[float, float]:
    """One query and one candidate at a time."""
    losses, hits = [], 0
    for i, query in enumerate(queries.tolist()):
        scores = [
            sum(a * b for a, b in zip(query, other, strict=True)) / temperature
            for other in candidates.tolist()
        ]
        highest = max(scores)
        log_sum = highest + math.log(math.fsum(math.exp(score - highest) for score in scores))
        losses.append(log_sum - scores[first + i])
        hits += scores[first + i] == highest
    return math.fsum(losses) / len(losses), hits / len(losses)


@pytest.fixture(params=[1, 7, 10**6])
def _slices(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row at a time, a row at a time because a row is longer, all at once."""
    monkeypatch.setattr(cross_entropy, "SLICE", request.param)


@pytest.mark.usefixtures("_slices")
@pytest.mark.parametrize("temperature", [1.0, 0.07, 0.005])
@pytest.mark.parametrize(("rows", "candidates", "first"), [(6, 6, 0), (4, 12, 0), (4, 12, 4), (4, 12, 8)])
def test_equals_the_slow_reference(rows: int, candidates: int, first: int, temperature: float) -> None:
    torch.manual_seed(0)
    c = unit(candidates, 5)
    q = F.normalize(unit(rows, 5) + 0.5 * c[first : first + rows], dim=1)
    loss, accuracy = matching_cross_entropy(q, c, temperature, first)
    expected_loss, expected_accuracy = reference(q, c, temperature, first)
    assert loss.item() == pytest.approx(expected_loss, rel=1e-12)
    assert accuracy.item() == pytest.approx(expected_accuracy)


@pytest.mark.usefixtures("_slices")
@pytest.mark.parametrize("first", [0, 3])
def test_gradients_are_those_of_finite_differences_and_of_the_library(first: int) -> None:
    torch.manual_seed(0)
    q, c = unit(3, 4).requires_grad_(), unit(7, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda q, c: matching_cross_entropy(q, c, 0.3, first)[0], (q, c))
    ours = torch.autograd.grad(matching_cross_entropy(q, c, 0.02, first)[0], (q, c))
    targets = torch.arange(first, first + 3)
    theirs = torch.autograd.grad(F.cross_entropy(q @ c.t() / 0.02, targets), (q, c))
    torch.testing.assert_close(ours, theirs)


def test_one_operand_may_be_fixed_and_the_gradient_is_scaled() -> None:
    q, c = unit(4, 3).requires_grad_(), unit(4, 3)
    (3 * matching_cross_entropy(q, c, 0.1)[0]).backward()
    scaled = q.grad
    q.grad = None
    matching_cross_entropy(q, c, 0.1)[0].backward()
    torch.testing.assert_close(scaled, 3 * q.grad)
    assert c.grad is None


def test_without_gradient_there_is_none() -> None:
    q, c = unit(4, 3).requires_grad_(), unit(4, 3).requires_grad_()
    with torch.no_grad():
        loss, accuracy = matching_cross_entropy(q, c, 0.1)
    assert not loss.requires_grad
    assert not matching_cross_entropy(q, c, 0.1)[1].requires_grad
    assert 0 <= accuracy.item() <= 1


def test_inputs_are_not_changed() -> None:
    q, c = unit(4, 3), unit(4, 3)
    before = q.clone(), c.clone()
    matching_cross_entropy(q.requires_grad_(), c.requires_grad_(), 0.1)[0].backward()
    assert torch.equal(q, before[0])
    assert torch.equal(c, before[1])


def test_large_scores_do_not_overflow_and_what_is_not_a_number_shows() -> None:
    q = 1e4 * unit(4, 3, torch.float32)
    assert torch.isfinite(matching_cross_entropy(q, q.roll(1, 0), 0.005)[0])
    q[2, 1] = torch.nan
    assert torch.isnan(matching_cross_entropy(q, q, 0.005)[0])


class Largest(TorchDispatchMode):
    """Notes the size of the largest tensor that any operation makes."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        sizes = [x.numel() for x in tree_leaves(result) if isinstance(x, Tensor)]
        self.elements = max([self.elements, *sizes])
        return result


def test_no_matrix_of_scores_at_the_size_of_several_gpus() -> None:
    """64 clips, 3 predicted blocks, 4 x 4 locations: 3072 rows, whose scores would be 9.4 million."""
    p, z = (F.normalize(torch.randn(64, 3, 32, 4, 4), dim=2).requires_grad_() for _ in range(2))
    with Largest() as largest:
        cpc_loss(p, z, 0.005)[0].backward()
    assert largest.elements <= cross_entropy.SLICE < 3072**2 / 8
    with Largest() as usual:
        F.cross_entropy(torch.randn(3072, 32) @ torch.randn(32, 3072), torch.arange(3072))
    assert usual.elements == 3072**2


def test_rejects_a_temperature_of_zero() -> None:
    with pytest.raises(ValueError, match="temperature must be positive"):
        matching_cross_entropy(unit(2, 3), unit(2, 3), 0)
