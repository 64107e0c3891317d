from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cocon.models.conv_gru import ConvGRU


def reference(gru: ConvGRU, x_NRD: Tensor, h_RD: Tensor) -> Tensor:
    """The recurrence gate by gate, as 1x1 convolutions on maps of one location."""

    def conv(gate: torch.nn.Linear, x: Tensor) -> Tensor:
        return torch.conv2d(x[:, :, None, None], gate.weight[:, :, None, None], gate.bias)[:, :, 0, 0]

    for x in x_NRD:
        both = torch.cat([x, h_RD], dim=1)
        update = torch.sigmoid(conv(gru.update, both))
        reset = torch.sigmoid(conv(gru.reset, both))
        candidate = torch.tanh(conv(gru.candidate, torch.cat([x, reset * h_RD], dim=1)))
        h_RD = (1 - update) * h_RD + update * candidate
    return h_RD


def test_equals_the_recurrence_of_the_paper() -> None:
    torch.manual_seed(0)
    gru = ConvGRU(6).double()
    for parameter in gru.parameters():
        torch.nn.init.normal_(parameter)
    x, h = torch.randn(4, 5, 6).double(), torch.randn(5, 6).double()
    torch.testing.assert_close(gru(x, h), reference(gru, x, h))
    torch.testing.assert_close(gru(x), reference(gru, x, torch.zeros_like(h)))


def test_state_continues_the_sequence() -> None:
    gru = ConvGRU(4).double()
    x = torch.randn(5, 3, 4).double()
    torch.testing.assert_close(gru(x[2:], gru(x[:2])), gru(x))


def test_gates_are_orthogonal_at_first() -> None:
    gru = ConvGRU(8)
    for gate in (gru.update, gru.reset, gru.candidate):
        torch.testing.assert_close(gate.weight @ gate.weight.t(), torch.eye(8), atol=1e-5, rtol=0)
        assert not gate.bias.any()


def test_dropout_acts_on_the_state_in_training_only() -> None:
    torch.manual_seed(0)
    gru = ConvGRU(64, dropout=0.5)
    x = torch.randn(1, 50, 64)
    training = gru(x)
    assert (training == 0).float().mean().item() == pytest.approx(0.5, abs=0.05)
    evaluation = gru.eval()(x)
    kept = training != 0
    torch.testing.assert_close(training[kept], 2 * evaluation[kept])
    assert torch.equal(evaluation, gru(x))


@pytest.mark.parametrize("shape", [(3, 4), (0, 3, 4), (2, 3, 5)])
def test_rejects_input_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected"):
        ConvGRU(4)(torch.zeros(shape))
