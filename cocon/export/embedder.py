"""The part of a view's network that an embedding needs, and the file of its weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cocon.config.schema import Clip, Network
from cocon.errors import CheckpointError
from cocon.export.config import NAME as CONFIG
from cocon.export.config import EncoderConfig, Pooling
from cocon.loading import parse_object, reading
from cocon.models.network import ViewNetwork, aggregate_blocks, build_network, encode_blocks
from cocon.training.network_file import built_with, check_weights, read_tensors


class Embedder(nn.Module):
    """The part of a view's network that an embedding needs.

    Args:
        network: its encoder, and its aggregator for the pooling ``context``, are shared, not copied.
        pooling: which of the features of ``cocon features`` to return.
    """

    def __init__(self, network: ViewNetwork, pooling: Pooling) -> None:
        super().__init__()
        self.pooling = pooling
        self.encoder = network.encoder
        self.aggregator = network.aggregator if pooling == "context" else None

    def forward(self, x_BNCKHW: Tensor) -> Tensor:
        """Features (B, D) of clips of N blocks of K frames, not normalised."""
        z_BNDSS = encode_blocks(self.encoder, x_BNCKHW)
        if self.aggregator is not None:
            return aggregate_blocks(self.aggregator, z_BNDSS).mean((2, 3))
        return z_BNDSS.amax((1, 3, 4)) if self.pooling == "encoder_max" else z_BNDSS.mean((1, 3, 4))


def load_embedder(path: Path, view: str, config: EncoderConfig) -> Embedder:
    """The network of a view, if weights and ``config.json`` belong together.

    Raises:
        CheckpointError: they do not, or the file is damaged.
    """
    again = "export the encoder again"
    exported = config.views[view]
    text, tensors = read_tensors(path, again)
    check_weights(str(path), tensors)
    with reading(path, "readable encoder", CheckpointError, missing=again, damaged=again):
        meant = about(view, exported.network, config.clip, config.embedding, exported.extraction)
        different = _different(parse_object(text), meant)
    if different:
        raise CheckpointError(
            f"{path} does not match the network of {view} in {CONFIG}: different "
            f"{', '.join(sorted(different))}",
            again,
        )
    network = exported.network
    with torch.random.fork_rng(devices=[]):  # weights are drawn, and then replaced
        return built_with(
            path, tensors, network.of(view), lambda: Embedder(build_network(view, network), config.embedding)
        )


def about(
    view: str, network: Network, clip: Clip, pooling: Pooling, extraction: Mapping[str, Any]
) -> dict[str, Any]:
    """The metadata in the file of a view's weights: everything else that an embedding depends on.

    It is covered by a checksum, unlike ``config.json``, which users may edit.
    """
    document = clip.model_dump(mode="json")
    return {
        "format": 1,
        "kind": "exported encoder",
        "view": view,
        "embedding": pooling,
        "network": network.model_dump(mode="json"),
        "clip": {**document, "crop": document["crop"][view]},
        "extraction": dict(extraction),
    }


def _different(told: Mapping[str, Any], meant: Mapping[str, Any]) -> list[str]:
    """Keys of ``told`` that have another value in ``meant``; keys added by a later version do not count."""
    found = []
    for key in told.keys() & meant.keys():
        if isinstance(told[key], dict) and isinstance(meant[key], dict):
            found += [f"{key}.{inner}" for inner in _different(told[key], meant[key])]
        elif told[key] != meant[key]:
            found.append(key)
    return found
