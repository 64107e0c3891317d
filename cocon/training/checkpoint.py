"""Encoders on disk: a safetensors file whose metadata say what network it is and how it came about."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from cocon.config.schema import Clip, Network
from cocon.errors import CheckpointError
from cocon.files import atomic_path
from cocon.models.network import ViewNetwork, build_network
from cocon.views import VIEWS

_METADATA = "cocon"
_FORMAT = 1
_KIND = "encoder"


@dataclass(frozen=True)
class EncoderInfo:
    """What the metadata of a checkpoint say.

    Attributes:
        view: the view that the network sees.
        network: its architecture.
        clip: the clips that it was trained on.
        pretraining: ``random``, ``stage1`` or the name of a preset.
        extra: whatever else was stored (seed, epochs, ...).
    """

    view: str
    network: Network
    clip: Clip
    pretraining: str
    extra: dict[str, Any] = field(default_factory=dict)


def save_encoder(
    path: Path, model: ViewNetwork, view: str, clip: Clip, pretraining: str, **extra: Any
) -> None:
    """Write one view's network, atomically.

    Args:
        path: final name, by custom ``<pretraining>/<view>.safetensors``.
        model: the network; it may be on any device.
        view: name of the view.
        clip: what it was trained on.
        pretraining: how it was trained.
        **extra: JSON-like values to keep with it.
    """
    document = {
        "format": _FORMAT,
        "kind": _KIND,
        "view": view,
        "network": model.settings.model_dump(mode="json"),
        "clip": clip.model_dump(mode="json"),
        "pretraining": pretraining,
        **extra,
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, {_METADATA: json.dumps(document, sort_keys=True)})


def read_info(path: Path) -> EncoderInfo:
    """Read the metadata only.

    Raises:
        CheckpointError: when the file is missing, no safetensors file, or no encoder of this project.
    """
    if not Path(path).is_file():
        raise CheckpointError(f"there is no checkpoint {path}", "run `cocon init` or `cocon pretrain` first")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise CheckpointError(f"{path} is not a readable safetensors file ({error})") from error
    if _METADATA not in metadata:
        raise CheckpointError(f"{path} is a safetensors file of another program")
    document = json.loads(metadata[_METADATA])
    if document.pop("kind") != _KIND or document.pop("format") > _FORMAT:
        raise CheckpointError(f"{path} is not an encoder that this version can read")
    view, pretraining = document.pop("view"), document.pop("pretraining")
    if view not in VIEWS:
        raise CheckpointError(f"{path} is an encoder of the view '{view}'; known are {', '.join(VIEWS)}")
    try:
        network = Network.model_validate(document.pop("network"))
        clip = Clip.model_validate(document.pop("clip"))
    except ValidationError as error:
        raise CheckpointError(f"{path} has settings that this version does not know: {error}") from error
    return EncoderInfo(view, network, clip, pretraining, document)


def load_encoder(
    path: Path, device: str | torch.device = "cpu", *, view: str | None = None, network: Network | None = None
) -> tuple[ViewNetwork, EncoderInfo]:
    """Build the network that a checkpoint describes and load its weights.

    Args:
        path: a file of :func:`save_encoder`.
        device: where the network is to be.
        view: the view that is expected; None: any.
        network: the architecture that is expected; None: any.

    Raises:
        CheckpointError: as :func:`read_info`, and when view or architecture are not those expected.
    """
    info = read_info(path)
    if view is not None and info.view != view:
        raise CheckpointError(f"{path} is an encoder of the view '{info.view}', not of '{view}'")
    if network is not None and info.network != network.of(info.view):
        theirs, ours = info.network.model_dump(), network.of(info.view).model_dump()
        differences = ", ".join(
            f"{key} {theirs[key]} (not {ours[key]})" for key in ours if theirs[key] != ours[key]
        )
        raise CheckpointError(
            f"{path} holds another network: {differences}",
            "use the network settings that it was trained with",
        )
    model = build_network(info.view, info.network)
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    missing, unknown = model.state_dict().keys() - tensors.keys(), tensors.keys() - model.state_dict().keys()
    if missing or unknown:
        names = ", ".join(sorted(missing | unknown)[:5])
        raise CheckpointError(f"{path} does not fit the network it describes: {names}")
    model.load_state_dict(tensors)
    return model.to(device), info
