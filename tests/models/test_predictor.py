from __future__ import annotations

import torch
import torch.nn.functional as F

from cocon.models.predictor import Predictor


def test_two_layers_then_unit_length() -> None:
    torch.manual_seed(0)
    predictor = Predictor(6).double()
    h = torch.randn(5, 6).double()
    first = torch.clamp(h @ predictor.hidden.weight.t() + predictor.hidden.bias, min=0)
    second = first @ predictor.output.weight.t() + predictor.output.bias
    expected = second / second.square().sum(1, keepdim=True).sqrt()
    torch.testing.assert_close(predictor(h), expected)


def test_layers_are_orthogonal_at_first() -> None:
    predictor = Predictor(8)
    for layer in (predictor.hidden, predictor.output):
        torch.testing.assert_close(layer.weight @ layer.weight.t(), torch.eye(8), atol=1e-5, rtol=0)
        assert not layer.bias.any()


def test_gradient_reaches_the_state() -> None:
    h = torch.randn(3, 4, requires_grad=True)
    F.mse_loss(Predictor(4)(h), torch.zeros(3, 4) + 1).backward()
    assert h.grad is not None
    assert h.grad.abs().sum() > 0
