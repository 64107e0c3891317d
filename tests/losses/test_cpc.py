from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cocon.losses.cpc import cpc_loss

SHAPE = (2, 3, 4, 2, 2)


def unit(*shape: int) -> Tensor:
    return F.normalize(torch.randn(*shape, dtype=torch.float64), dim=2)


def reference(p: Tensor, z: Tensor, temperature: float) -> tuple[float, float]:
    """Equation by equation: a loop over rows and candidates."""
    batch, steps, _, height, width = p.shape
    keys = [
        (b, k, i, j) for b in range(batch) for k in range(steps) for i in range(height) for j in range(width)
    ]
    losses, hits = [], []
    for b, k, i, j in keys:
        scores = [float(p[b, k, :, i, j] @ z[c, m, :, s, t]) / temperature for c, m, s, t in keys]
        own = scores[keys.index((b, k, i, j))]
        highest = max(scores)
        losses.append(highest + math.log(sum(math.exp(score - highest) for score in scores)) - own)
        hits.append(own == highest)
    return sum(losses) / len(losses), sum(hits) / len(hits)


@pytest.mark.parametrize("temperature", [1.0, 0.07, 0.005])
def test_equals_the_slow_reference(temperature: float) -> None:
    torch.manual_seed(0)
    p, z = unit(*SHAPE), unit(*SHAPE)
    z = F.normalize(z + 0.7 * p, dim=2)
    loss, accuracy = cpc_loss(p, z, temperature)
    expected_loss, expected_accuracy = reference(p, z, temperature)
    assert loss.item() == pytest.approx(expected_loss, rel=1e-12)
    assert 0 < expected_accuracy < 1
    assert accuracy.item() == pytest.approx(expected_accuracy)


def test_uniform_scores_give_the_logarithm_of_the_rows() -> None:
    ones = F.normalize(torch.ones(4, 3, 8, 2, 2), dim=2)
    loss, _ = cpc_loss(ones, ones, 0.005)
    assert loss.item() == pytest.approx(math.log(4 * 3 * 2 * 2))


def test_perfect_prediction_at_low_temperature_costs_nothing() -> None:
    z = F.normalize(torch.eye(24).view(2, 3, 2, 2, 24).permute(0, 1, 4, 2, 3), dim=2)
    loss, accuracy = cpc_loss(z, z, 0.005)
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert accuracy.item() == 1


def test_chance_is_far_above_the_logarithm_at_the_low_temperature() -> None:
    torch.manual_seed(0)
    p, z = unit(4, 3, 256, 2, 2), unit(4, 3, 256, 2, 2)
    loss, _ = cpc_loss(p, z, 0.005)
    assert loss.item() > 2 * math.log(48)


def test_order_of_clips_does_not_matter() -> None:
    torch.manual_seed(0)
    p, z = unit(*SHAPE), unit(*SHAPE)
    torch.testing.assert_close(cpc_loss(p.flip(0), z.flip(0), 0.1), cpc_loss(p, z, 0.1))


def test_gradient_of_predictions_and_targets() -> None:
    torch.manual_seed(0)
    p, z = unit(2, 2, 3, 1, 2).requires_grad_(), unit(2, 2, 3, 1, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda p, z: cpc_loss(p, z, 0.3)[0], (p, z))
    cpc_loss(p, z, 0.3)[0].backward()
    assert z.grad is not None
    assert (z.grad.norm(dim=2) > 0).all()


def test_rejects_shapes_that_differ() -> None:
    with pytest.raises(ValueError, match="one shape"):
        cpc_loss(unit(2, 3, 4, 2, 2), unit(2, 2, 4, 2, 2), 0.1)
    with pytest.raises(ValueError, match="one shape"):
        cpc_loss(unit(2, 3, 4, 2), unit(2, 3, 4, 2), 0.1)


def test_rejects_a_temperature_of_zero() -> None:
    with pytest.raises(ValueError, match="temperature"):
        cpc_loss(unit(*SHAPE), unit(*SHAPE), 0)
