from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cocon.losses.sync import sync_loss


def unit(*shape: int) -> Tensor:
    return F.normalize(torch.randn(*shape, dtype=torch.float64), dim=1)


def reference(a: Tensor, b: Tensor, kind: str) -> float:
    total = 0.0
    for i in range(len(a)):
        for j in range(len(a)):
            difference = float(a[i] @ a[j]) - float(b[i] @ b[j])
            total += abs(difference) if kind == "l1" else difference**2
    return total / len(a) ** 2


@pytest.mark.parametrize("kind", ["l1", "squared"])
def test_equals_the_slow_reference(kind: str) -> None:
    torch.manual_seed(0)
    a, b = unit(7, 4), unit(7, 6)
    assert sync_loss(a, b, kind).item() == pytest.approx(reference(a, b, kind), rel=1e-12)


@pytest.mark.parametrize("kind", ["l1", "squared"])
def test_is_zero_for_equal_views_and_for_collapsed_ones(kind: str) -> None:
    a = unit(6, 4)
    assert sync_loss(a, a.clone(), kind).item() == 0
    collapsed_a, collapsed_b = unit(1, 4).expand(6, 4), unit(1, 5).expand(6, 5)
    assert sync_loss(collapsed_a, collapsed_b, kind).item() == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("kind", ["l1", "squared"])
def test_is_symmetric_and_blind_to_rotation(kind: str) -> None:
    a, b = unit(6, 4), unit(6, 4)
    torch.testing.assert_close(sync_loss(a, b, kind), sync_loss(b, a, kind))
    rotation = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64))[0]
    torch.testing.assert_close(sync_loss(a @ rotation, b, kind), sync_loss(a, b, kind))


def test_known_value() -> None:
    """Orthogonal instances against identical ones: every off-diagonal cosine differs by 1."""
    a, b = torch.eye(4), F.normalize(torch.ones(4, 4), dim=1)
    assert sync_loss(a, b, "l1").item() == pytest.approx(12 / 16)
    assert sync_loss(a, b, "squared").item() == pytest.approx(12 / 16)


@pytest.mark.parametrize("kind", ["l1", "squared"])
def test_gradient_flows_to_both_views(kind: str) -> None:
    torch.manual_seed(0)
    a, b = unit(4, 3).requires_grad_(), unit(4, 3).requires_grad_()

    def loss(a: Tensor, b: Tensor) -> Tensor:
        # |0| on the diagonal has no derivative until the rows are normalised inside
        return sync_loss(F.normalize(a, dim=1), F.normalize(b, dim=1), kind)

    if kind == "squared":
        assert torch.autograd.gradcheck(loss, (a, b))
    grads = torch.autograd.grad(loss(a, b), (a, b))
    assert all(g.abs().sum() > 0 for g in grads)
    step = 1e-6
    direction = torch.randn_like(a)
    numeric = (loss(a + step * direction, b) - loss(a - step * direction, b)) / (2 * step)
    torch.testing.assert_close((grads[0] * direction).sum(), numeric.detach(), rtol=1e-4, atol=1e-7)


def test_rejects_shapes_that_do_not_match_and_unknown_kinds() -> None:
    with pytest.raises(ValueError, match="same M"):
        sync_loss(unit(3, 4), unit(4, 4))
    with pytest.raises(ValueError, match="same M"):
        sync_loss(torch.zeros(3), torch.zeros(3))
    with pytest.raises(ValueError, match="'l1' or 'squared'"):
        sync_loss(unit(3, 4), unit(3, 4), "huber")  # type: ignore[arg-type]
