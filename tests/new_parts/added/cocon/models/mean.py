"""The mean of a block, projected: an encoder that sees no shape."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from cocon.config.schema import Network
from cocon.models.encoder import EncoderNetwork


class MeanEncoder(EncoderNetwork):
    """Means of 16 x 16 px over the time of a block, projected to D channels."""

    def __init__(self, channels: int, features: int) -> None:
        super().__init__(channels, features)
        self.project = nn.Conv2d(channels, features, 1)

    def encode(self, x_FCKHW: Tensor) -> Tensor:
        """(F, C, K, H, W) to (F, D, S, S)."""
        return self.project(F.avg_pool2d(x_FCKHW.mean(2), 16, ceil_mode=True))

    @staticmethod
    def fewest_weights(network: Network) -> int:
        """One channel at least."""
        return 2 * network.features
