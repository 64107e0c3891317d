"""The network of one view: encoder, aggregator and predictor. Views share nothing.

Source: CoCon (Rai et al. 2021, arXiv 2104.14764); dense predictive coding is
Han et al. 2019, arXiv 1909.04656.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cocon.config.schema import Network
from cocon.errors import ConfigError
from cocon.models.conv_gru import ConvGRU
from cocon.models.encoder import EncoderNetwork, build_encoder
from cocon.models.predictor import Predictor
from cocon.views import VIEWS


class ViewNetwork(nn.Module):
    """Encodes the blocks of a clip and predicts the last blocks from the first ones.

    Args:
        channels: channels of the view.
        settings: encoder, its shape, features and dropout of this view.
    """

    def __init__(self, channels: int, settings: Network) -> None:
        super().__init__()
        self.channels = channels
        self.settings = settings
        self.encoder = build_encoder(channels, settings)
        self.aggregator = ConvGRU(settings.features, settings.dropout)
        self.predictor = Predictor(settings.features)

    def encode(self, x_BNCKHW: Tensor) -> Tensor:
        """Features z (B, N, D, S, S) of N blocks of K frames, L2-normalised over D at every location.

        Raises:
            ValueError: if the input is not 6-dimensional with the channels of this view.
        """
        return encode_blocks(self.encoder, x_BNCKHW)

    def context(self, z_BNDSS: Tensor) -> Tensor:
        """The aggregator's state after all N blocks, (B, D, S, S), not normalised."""
        return aggregate_blocks(self.aggregator, z_BNDSS)

    def forward(self, x_BNCKHW: Tensor, predicted: int) -> tuple[Tensor, Tensor]:
        """Encode N blocks and predict the last P of them from the first N - P.

        Each prediction is fed back into the aggregator for the next one. The state is L2-normalised at
        the end of the context and after each prediction.

        Args:
            x_BNCKHW: network input, N blocks of K frames.
            predicted: P, 1 <= P < N.

        Returns:
            z (B, N, D, S, S) of all blocks and p (B, P, D, S, S), the predictions of the last P of them,
            both L2-normalised over D at every location.

        Raises:
            ValueError: if no block is left as context, or none is predicted.
        """
        blocks = x_BNCKHW.shape[1]
        if not 1 <= predicted < blocks:
            raise ValueError(f"cannot predict {predicted} of {blocks} blocks: need 1 <= predicted < blocks")
        z_BNDSS = self.encode(x_BNCKHW)
        state = F.normalize(self.aggregator(_to_rows(z_BNDSS[:, : blocks - predicted])), dim=1)
        predictions = []
        for step in range(predicted):
            predictions.append(self.predictor(state))
            if step < predicted - 1:
                state = F.normalize(self.aggregator(predictions[-1][None], state), dim=1)
        return z_BNDSS, torch.stack([_to_maps(rows, z_BNDSS) for rows in predictions], dim=1)


def build_network(view: str, settings: Network) -> ViewNetwork:
    """The network of a named view, newly initialised from torch's global generator.

    Args:
        view: name of the view.
        settings: of all views; those of this view are used.

    Raises:
        ConfigError: if there is no such view.
    """
    if view not in VIEWS:
        raise ConfigError(f"there is no view '{view}'", f"choose from {', '.join(VIEWS)}")
    return ViewNetwork(VIEWS[view].channels, settings.of(view))


def encode_blocks(encoder: EncoderNetwork, x_BNCKHW: Tensor) -> Tensor:
    """:meth:`ViewNetwork.encode` with a given encoder."""
    if x_BNCKHW.dim() != 6:
        raise ValueError(f"expected (B, N, C, K, H, W), got {tuple(x_BNCKHW.shape)}")
    z_FDSS = F.normalize(encoder(x_BNCKHW.flatten(0, 1)), dim=1)
    result: Tensor = z_FDSS.unflatten(0, x_BNCKHW.shape[:2])
    return result


def aggregate_blocks(aggregator: ConvGRU, z_BNDSS: Tensor) -> Tensor:
    """:meth:`ViewNetwork.context` with a given aggregator."""
    return _to_maps(aggregator(_to_rows(z_BNDSS)), z_BNDSS)


def _to_rows(z_BNDSS: Tensor) -> Tensor:
    """Maps of N blocks (B, N, D, S, S) as N tables of locations (N, B S S, D)."""
    return z_BNDSS.permute(1, 0, 3, 4, 2).flatten(1, 3)


def _to_maps(rows_RD: Tensor, like_BNDSS: Tensor) -> Tensor:
    """Rows of locations (B S S, D) as maps (B, D, S, S)."""
    batch, height, width = like_BNDSS.shape[0], *like_BNDSS.shape[3:]
    result: Tensor = rows_RD.unflatten(0, (batch, height, width)).permute(0, 3, 1, 2)
    return result
