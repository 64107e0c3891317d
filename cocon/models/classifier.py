"""The classifier: a pretrained network with a linear layer instead of its predictor.

Source: CoCon (Rai et al. 2021, arXiv 2104.14764), after DPC (Han et al. 2019, arXiv 1909.04656); with the
head "encoder" and frozen, the linear probe of CoCLR (Han et al. 2020, arXiv 2010.09709).
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cocon.models.network import ViewNetwork, aggregate_blocks, encode_blocks


class Classifier(nn.Module):
    """Features of a clip, then batch norm, dropout and a linear layer.

    The head "context" reads the spatial mean of the aggregator's last state over all blocks; the head
    "encoder" the mean of the encoder's features over blocks and locations, L2-normalised.

    Args:
        network: the (pretrained) network; its encoder and aggregator are shared, not copied.
        classes: number of classes.
        dropout: probability of dropout before the linear layer.
        head: which features are read.
        frozen: encoder and aggregator are not trained, batch norm statistics included.

    Raises:
        ValueError: if there are no classes.
    """

    def __init__(
        self,
        network: ViewNetwork,
        classes: int,
        dropout: float,
        *,
        head: Literal["context", "encoder"] = "context",
        frozen: bool = False,
    ) -> None:
        super().__init__()
        if classes < 1:
            raise ValueError(f"a classifier needs at least one class, not {classes}")
        self.head, self.frozen = head, frozen
        self.encoder = network.encoder
        self.aggregator = network.aggregator
        self.norm = nn.BatchNorm1d(network.settings.features)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(network.settings.features, classes)
        if frozen:
            self.encoder.requires_grad_(False)
        if frozen or head == "encoder":
            self.aggregator.requires_grad_(False)

    def backbone(self) -> list[nn.Parameter]:
        """The parameters that were pretrained and that the head depends on."""
        parts = [self.encoder, self.aggregator] if self.head == "context" else [self.encoder]
        return [parameter for part in parts for parameter in part.parameters()]

    def train(self, mode: bool = True) -> Classifier:
        """As for any module, but frozen parts stay in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
            self.aggregator.eval()
        return self

    def features(self, x_BNCKHW: Tensor) -> Tensor:
        """The features that the head reads, (B, D)."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            z_BNDSS = encode_blocks(self.encoder, x_BNCKHW)
            if self.head == "encoder":
                return F.normalize(z_BNDSS.mean((1, 3, 4)), dim=1)
            return aggregate_blocks(self.aggregator, z_BNDSS).mean((2, 3))

    def forward(self, x_BNCKHW: Tensor) -> Tensor:
        """Logits (B, classes) of clips of N blocks of K frames."""
        logits: Tensor = self.linear(self.dropout(self.norm(self.features(x_BNCKHW))))
        return logits
