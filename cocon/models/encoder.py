"""The base class of all encoders; :mod:`cocon.encoders` lists them and specifies the interface."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pkgutil import resolve_name
from typing import Any

from torch import Tensor, nn

from cocon.config.schema import Network
from cocon.encoders import ENCODERS


class EncoderNetwork(nn.Module, ABC):
    """An encoder f: from blocks of K frames (F, C, K, H, W) to (F, D, S, S).

    Args:
        channels: channels of the view, C.
        features: D.
    """

    def __init__(self, channels: int, features: int) -> None:
        super().__init__()
        self.channels = channels
        self.features = features

    def forward(self, x_FCKHW: Tensor) -> Tensor:
        """Encode blocks; the output is not normalised, and may be negative (no activation at the end).

        Input whose channels come last in memory is not copied.

        Raises:
            ValueError: if the input is not 5-dimensional with the channels of this view.
        """
        if x_FCKHW.dim() != 5 or x_FCKHW.shape[1] != self.channels:
            raise ValueError(f"expected (F, {self.channels}, K, H, W), got {tuple(x_FCKHW.shape)}")
        return self.encode(x_FCKHW.permute(0, 2, 3, 4, 1).contiguous().permute(0, 4, 1, 2, 3))

    @abstractmethod
    def encode(self, x_FCKHW: Tensor) -> Tensor:
        """:meth:`forward` for checked input with the channels last in memory."""

    @staticmethod
    @abstractmethod
    def fewest_weights(network: Network) -> int:
        """A lower bound of the number of weights of the encoder of these settings; nothing is built."""


def build_encoder(channels: int, network: Network) -> EncoderNetwork:
    """The encoder of one view, newly initialised from torch's global generator."""
    shape = {key: getattr(network, key) for key in ("features", *ENCODERS[network.encoder].reads)}
    encoder: EncoderNetwork = encoder_class(network.encoder)(channels=channels, **shape)
    return encoder


def encoder_class(name: str) -> Any:
    """The class of a name in :data:`cocon.encoders.ENCODERS`, a subclass of :class:`EncoderNetwork`."""
    return resolve_name(ENCODERS[name].path)
