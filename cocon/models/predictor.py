"""The predictor phi: from the state of the aggregator to the features of the next block.

Source: DPC (Han et al. 2019, arXiv 1909.04656).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class Predictor(nn.Module):
    """Two 1x1 convolutions with a ReLU between them, written as linear layers on rows of locations."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(features, features)
        self.output = nn.Linear(features, features)
        for layer in (self.hidden, self.output):
            nn.init.orthogonal_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, h_RD: Tensor) -> Tensor:
        """State (R, D) to predicted features (R, D), L2-normalised over D."""
        prediction: Tensor = self.output(F.relu(self.hidden(h_RD)))
        return F.normalize(prediction, dim=1)
