from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cocon.losses.infonce import infonce_loss


def unit(*shape: int) -> Tensor:
    return F.normalize(torch.randn(*shape, dtype=torch.float64), dim=1)


def reference(a: Tensor, b: Tensor, temperature: float) -> float:
    """From every instance of each view to all instances of the other one."""
    count, total = len(a), 0.0
    for anchors, others in ((a, b), (b, a)):
        for i in range(count):
            weights = [math.exp(float(anchors[i] @ others[j]) / temperature) for j in range(count)]
            total -= 0.5 / count * math.log(weights[i] / math.fsum(weights))
    return total


@pytest.mark.parametrize("temperature", [1.0, 0.07])
@pytest.mark.parametrize("count", [1, 2, 9])
def test_equals_the_slow_reference(count: int, temperature: float) -> None:
    torch.manual_seed(0)
    a, b = unit(count, 5), unit(count, 5)
    assert infonce_loss(a, b, temperature).item() == pytest.approx(reference(a, b, temperature), rel=1e-12)


def test_known_values() -> None:
    same = unit(1, 4).expand(6, 4)
    assert infonce_loss(same, same, 0.07).item() == pytest.approx(math.log(6), rel=1e-12)
    assert infonce_loss(same, -same, 0.07).item() == pytest.approx(math.log(6), rel=1e-12)
    eye = torch.eye(5, dtype=torch.float64)
    assert infonce_loss(eye, eye, 0.5).item() == pytest.approx(math.log(math.e**2 + 4) - 2, rel=1e-12)
    assert infonce_loss(eye, eye, 0.01).item() == pytest.approx(0, abs=1e-12)


def test_is_symmetric_and_blind_to_a_common_rotation() -> None:
    a, b = unit(6, 4), unit(6, 4)
    torch.testing.assert_close(infonce_loss(a, b, 0.2), infonce_loss(b, a, 0.2))
    rotation = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64))[0]
    torch.testing.assert_close(infonce_loss(a @ rotation, b @ rotation, 0.2), infonce_loss(a, b, 0.2))


def test_gradient_flows_to_both_views() -> None:
    torch.manual_seed(0)
    a, b = unit(4, 3).requires_grad_(), unit(4, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: infonce_loss(a, b, 0.3), (a, b))
    assert all(g.abs().sum() > 0 for g in torch.autograd.grad(infonce_loss(a, b, 0.3), (a, b)))


def test_rejects_shapes_that_do_not_match() -> None:
    with pytest.raises(ValueError, match="same M"):
        infonce_loss(unit(3, 4), unit(4, 4), 0.1)
