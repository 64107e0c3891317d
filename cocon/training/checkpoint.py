"""Saves and loads encoders, one safetensors file per view (:mod:`cocon.training.network_file`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from cocon.config.schema import Clip, Network
from cocon.errors import CheckpointError
from cocon.models.network import ViewNetwork, build_network
from cocon.training.network_file import (
    AGAIN,
    built_with,
    read_document,
    read_network,
    settings_in,
    write_network,
)

#: how the epoch of an encoder was chosen, by pretraining.best_by; recorded in files and model cards
CHOSEN_BY = {
    "validation_loss": "the loss on training videos held out",
    "probe": "k-NN on labelled training videos",
}
_ENCODER = "encoder"
_FIRST = "run `cocon init` or `cocon pretrain` first"


@dataclass(frozen=True)
class EncoderInfo:
    """The metadata of a checkpoint.

    Attributes:
        view: the view that the network sees.
        network: its architecture.
        clip: the clips that it was trained on.
        pretraining: ``random``, ``stage1`` or the name of a preset.
        extra: other stored values (seed, epochs, ...).
    """

    view: str
    network: Network
    clip: Clip
    pretraining: str
    extra: dict[str, Any] = field(default_factory=dict)


def save_encoder(
    path: Path, model: ViewNetwork, view: str, clip: Clip, pretraining: str, **extra: Any
) -> None:
    """Write one view's network atomically.

    Args:
        path: final name, by convention ``<pretraining>/<view>.safetensors``.
        model: the network; it may be on any device.
        view: name of the view.
        clip: what it was trained on.
        pretraining: how it was trained.
        **extra: JSON-like values to keep with it.
    """
    document = {
        "view": view,
        "network": model.settings.model_dump(mode="json"),
        "clip": clip.model_dump(mode="json"),
        "pretraining": pretraining,
        **extra,
    }
    write_network(path, model, _ENCODER, document)


def read_info(path: Path) -> EncoderInfo:
    """Read the metadata only; the checksum is compared by :func:`load_encoder`.

    Raises:
        CheckpointError: when the file is missing, no safetensors file, or no encoder of this project.
    """
    return _encoder_info(read_document(path, _ENCODER, _FIRST), path)


def load_encoder(
    path: Path, device: str | torch.device = "cpu", *, view: str | None = None, network: Network | None = None
) -> tuple[ViewNetwork, EncoderInfo]:
    """Build the network that a checkpoint describes and load its weights.

    Args:
        path: a file of :func:`save_encoder`.
        device: the device to load onto.
        view: the expected view; None: any.
        network: the expected architecture; None: any.

    Raises:
        CheckpointError: as :func:`read_info`; also when the file is damaged, has non-finite weights, or has
            another view or architecture than expected.
    """
    document, tensors = read_network(path, _ENCODER, _FIRST)
    info = _encoder_info(document, path)
    if view is not None and info.view != view:
        raise CheckpointError(f"{path} is an encoder of the view '{info.view}', not of '{view}'")
    if network is not None and info.network != network.of(info.view):
        theirs, ours = info.network.model_dump(), network.of(info.view).model_dump()
        differences = ", ".join(
            f"{key} {theirs[key]} (not {ours[key]})"
            for key in ours
            if key in theirs and theirs[key] != ours[key]
        )
        raise CheckpointError(
            f"{path} contains another network: {differences}",
            "use the network settings that it was trained with",
        )
    model = built_with(path, tensors, info.network, lambda: build_network(info.view, info.network))
    return model.to(device), info


def _encoder_info(document: dict[str, Any], path: Path) -> EncoderInfo:
    network = settings_in(document, path, "network", Network)
    clip = settings_in(document, path, "clip", Clip)
    view, pretraining = document.pop("view"), document.pop("pretraining", None)
    if not isinstance(pretraining, str) or not isinstance(document.get("extraction", {}), dict):
        raise CheckpointError(f"{path} does not record how it was trained", AGAIN)
    return EncoderInfo(view, network.of(view), clip, pretraining, document)
