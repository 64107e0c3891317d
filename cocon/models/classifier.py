"""The classifier for fine-tuning: a pretrained network with a linear layer in place of its predictor.

Source: CoCon (Rai et al. 2021, arXiv 2104.14764), after DPC (Han et al. 2019,
arXiv 1909.04656).
"""

from __future__ import annotations

from torch import Tensor, nn

from cocon.models.network import ViewNetwork, aggregate_blocks, encode_blocks


class Classifier(nn.Module):
    """Encoder, aggregator over all blocks, last state, spatial mean, batch norm, dropout, linear layer.

    Args:
        network: the (pretrained) network; its encoder and aggregator are shared, not copied.
        classes: number of classes.
        dropout: probability of dropout before the linear layer.

    Raises:
        ValueError: if there are no classes.
    """

    def __init__(self, network: ViewNetwork, classes: int, dropout: float) -> None:
        super().__init__()
        if classes < 1:
            raise ValueError(f"a classifier needs at least one class, not {classes}")
        self.encoder = network.encoder
        self.aggregator = network.aggregator
        self.norm = nn.BatchNorm1d(network.settings.features)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(network.settings.features, classes)

    def forward(self, x_BNCKHW: Tensor) -> Tensor:
        """Logits (B, classes) of clips of N blocks of K frames."""
        z_BNDSS = encode_blocks(self.encoder, x_BNCKHW)
        state_BDSS = aggregate_blocks(self.aggregator, z_BNDSS)
        logits: Tensor = self.linear(self.dropout(self.norm(state_BDSS.mean((2, 3)))))
        return logits
