"""The aggregator g: a one-layer convolutional GRU with 1x1 kernels.

Source: Ballas et al. 2016, arXiv 1511.06432; as used by DPC (Han et al. 2019,
arXiv 1909.04656) and CoCon (Rai et al. 2021, arXiv 2104.14764).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ConvGRU(nn.Module):
    """Summarises a sequence of feature maps, each location separately.

    With 1x1 kernels a location never sees its neighbours, so the B maps of SxS locations are a table of
    R = B * S * S rows, and each gate is a linear layer (the same numbers as a 1x1 convolution with bias)
    on the concatenation of input and state.

    Args:
        features: channels of input and state, D.
        dropout: probability of dropout on the state after each step.
    """

    def __init__(self, features: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.features = features
        self.dropout = dropout
        self.update = nn.Linear(2 * features, features)
        self.reset = nn.Linear(2 * features, features)
        self.candidate = nn.Linear(2 * features, features)
        for gate in (self.update, self.reset, self.candidate):
            nn.init.orthogonal_(gate.weight)
            nn.init.zeros_(gate.bias)

    def forward(self, x_NRD: Tensor, h_RD: Tensor | None = None) -> Tensor:
        """Read N inputs (N, R, D), from state ``h_RD`` (default: zeros), and return the last state (R, D).

        Raises:
            ValueError: if the input is not (N, R, D) with N >= 1.
        """
        if x_NRD.dim() != 3 or x_NRD.shape[0] < 1 or x_NRD.shape[2] != self.features:
            raise ValueError(f"expected (N >= 1, R, {self.features}), got {tuple(x_NRD.shape)}")
        gates = (self.update, self.reset, self.candidate)
        from_x, from_h = torch.cat([gate.weight for gate in gates]).split(self.features, dim=1)
        bias = torch.cat([gate.bias for gate in gates])
        from_h = from_h[: 2 * self.features]  # the candidate is computed after reset
        state = torch.zeros_like(x_NRD[0]) if h_RD is None else h_RD
        for inputs in F.linear(x_NRD, from_x, bias).unbind():
            state = self._step(inputs, state, from_h)
        return state

    def _step(self, inputs_RE: Tensor, h_RD: Tensor, from_h: Tensor) -> Tensor:
        """One step, given the gates' share of the input (R, 3 D): update, reset, candidate."""
        for_gates, for_candidate = inputs_RE.split((2 * self.features, self.features), dim=1)
        gates = torch.sigmoid(for_gates + F.linear(h_RD, from_h))
        update, reset = gates.chunk(2, dim=1)
        from_state = F.linear(reset * h_RD, self.candidate.weight[:, self.features :])
        candidate = torch.tanh(for_candidate + from_state)
        state = h_RD + update * (candidate - h_RD)
        return F.dropout(state, self.dropout, self.training)
