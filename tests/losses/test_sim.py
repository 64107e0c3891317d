from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cocon.losses.sim import sim_loss


def unit(*shape: int) -> Tensor:
    return F.normalize(torch.randn(*shape, dtype=torch.float64), dim=1)


def reference(a: Tensor, b: Tensor, margin: float = 1.0) -> float:
    """The hinge over all pairs, with a weight that makes positives and negatives count the same."""
    count = len(a)
    total = 0.0
    for i in range(count):
        for j in range(count):
            distance = 1 - float(a[i] @ b[j])
            balance = 0.5 / count if i == j else 0.5 / (count * (count - 1))
            total += balance * (distance if i == j else max(0.0, margin - distance))
    return total


@pytest.mark.parametrize("count", [2, 9])
def test_equals_the_slow_reference(count: int) -> None:
    torch.manual_seed(0)
    a, b = unit(count, 5), unit(count, 5)
    assert sim_loss(a, b).item() == pytest.approx(reference(a, b), rel=1e-12)


@pytest.mark.parametrize("cosine", [1.0, 0.6, 0.1])
def test_is_one_half_when_all_cosines_are_equal_and_positive(cosine: float) -> None:
    a = torch.tensor([[1.0, 0.0]], dtype=torch.float64).expand(5, 2)
    b = torch.tensor([[cosine, (1 - cosine**2) ** 0.5]], dtype=torch.float64).expand(5, 2)
    assert sim_loss(a, b).item() == pytest.approx(0.5, rel=1e-14)


def test_known_values() -> None:
    eye = torch.eye(4)
    assert sim_loss(eye, eye).item() == 0
    assert sim_loss(eye, -eye).item() == pytest.approx(1)
    assert sim_loss(eye, eye.roll(1, 0)).item() == pytest.approx(0.5 + 0.5 * 4 / 12)


@pytest.mark.parametrize("margin", [0.3, 1.0, 1.7])
def test_margin_is_the_distance_that_different_instances_keep(margin: float) -> None:
    torch.manual_seed(0)
    a, b = unit(7, 3), unit(7, 3)
    assert sim_loss(a, b, margin).item() == pytest.approx(reference(a, b, margin), rel=1e-12)
    alike = unit(1, 3).expand(5, 3)
    assert sim_loss(alike, alike, margin).item() == pytest.approx(margin / 2)


def test_pairs_beyond_the_margin_get_no_gradient() -> None:
    a = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    b = torch.tensor([[0.8, -0.6], [0.6, 0.8]], requires_grad=True)  # cosines with a: .8 .6 / -.6 .8
    sim_loss(a, b, margin=0.3).backward()  # only cosines above .7 are too near: none of different instances
    assert torch.equal(b.grad, -0.25 * a)


def test_is_symmetric() -> None:
    a, b = unit(6, 4), unit(6, 4)
    torch.testing.assert_close(sim_loss(a, b), sim_loss(b, a))


def test_gradient_flows_to_both_views() -> None:
    torch.manual_seed(0)
    a, b = unit(4, 3).requires_grad_(), unit(4, 3).requires_grad_()
    assert torch.autograd.gradcheck(sim_loss, (a, b))
    assert all(g.abs().sum() > 0 for g in torch.autograd.grad(sim_loss(a, b), (a, b)))


def test_rejects_one_instance_and_shapes_that_do_not_match() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        sim_loss(unit(1, 4), unit(1, 4))
    with pytest.raises(ValueError, match="same M"):
        sim_loss(unit(3, 4), unit(4, 4))
