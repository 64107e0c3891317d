"""Networks on disk: a safetensors file whose metadata say what it holds and how that came about.

A file knows its kind: an encoder (here) or a classifier (:mod:`cocon.evaluation.classifier_file`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from cocon.config.schema import Clip, Network
from cocon.errors import CheckpointError
from cocon.files import atomic_path
from cocon.models.network import ViewNetwork, build_network
from cocon.views import VIEWS

_METADATA = "cocon"
_FORMAT = 1
_ENCODER = "encoder"
SectionT = TypeVar("SectionT", bound=BaseModel)


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
        "view": view,
        "network": model.settings.model_dump(mode="json"),
        "clip": clip.model_dump(mode="json"),
        "pretraining": pretraining,
        **extra,
    }
    write_network(path, model, _ENCODER, document)


def read_info(path: Path) -> EncoderInfo:
    """Read the metadata only.

    Raises:
        CheckpointError: when the file is missing, no safetensors file, or no encoder of this project.
    """
    document = read_document(path, _ENCODER, "run `cocon init` or `cocon pretrain` first")
    network = settings_in(document, path, "network", Network)
    clip = settings_in(document, path, "clip", Clip)
    return EncoderInfo(document.pop("view"), network, clip, document.pop("pretraining"), document)


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
    read_weights(path, model)
    return model.to(device), info


# ------------------------------------------------------------------------ what all kinds have in common


def write_network(path: Path, model: nn.Module, kind: str, document: dict[str, Any]) -> None:
    """Write weights, kind and a JSON-like document about them, atomically."""
    document = {"format": _FORMAT, "kind": kind, **document}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, {_METADATA: json.dumps(document, sort_keys=True)})


def read_document(path: Path, kind: str, hint: str) -> dict[str, Any]:
    """The document of :func:`write_network`.

    Args:
        path: the file.
        kind: what it has to be.
        hint: what to do when there is no such file.

    Raises:
        CheckpointError: when it is missing, no file of this project, of another kind, or of no known view.
    """
    if not Path(path).is_file():
        raise CheckpointError(f"there is no checkpoint {path}", hint)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise CheckpointError(f"{path} is not a readable safetensors file ({error})") from error
    if _METADATA not in metadata:
        raise CheckpointError(f"{path} is a safetensors file of another program")
    document: dict[str, Any] = json.loads(metadata[_METADATA])
    found, version = document.pop("kind", "file of an unknown kind"), document.pop("format", 0)
    if found != kind:
        raise CheckpointError(
            f"{path} is {_with_article(found)} ({document.get('view')}), not {_with_article(kind)}",
            "encoders lie in pretrain/<pretraining>/, classifiers in evaluation/<pretraining>/<view>/",
        )
    if version > _FORMAT:
        raise CheckpointError(f"{path} is not {_with_article(kind)} that this version can read")
    if document["view"] not in VIEWS:
        known = ", ".join(VIEWS)
        raise CheckpointError(
            f"{path} is {_with_article(kind)} of the view '{document['view']}'; known are {known}"
        )
    return document


def settings_in(document: dict[str, Any], path: Path, key: str, section: type[SectionT]) -> SectionT:
    """Take a section of settings out of a document.

    Raises:
        CheckpointError: when this version does not understand it.
    """
    try:
        return section.model_validate(document.pop(key))
    except ValidationError as error:
        raise CheckpointError(f"{path} has settings that this version does not know: {error}") from error


def read_weights(path: Path, model: nn.Module) -> None:
    """Give ``model`` the weights of a file.

    Raises:
        CheckpointError: when they have other names or shapes.
    """
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    own = model.state_dict()
    wrong = own.keys() ^ tensors.keys() | {
        n for n in own.keys() & tensors.keys() if own[n].shape != tensors[n].shape
    }
    if wrong:
        names = ", ".join(sorted(wrong)[:5])
        raise CheckpointError(f"{path} does not fit the network it describes: {names}")
    model.load_state_dict(tensors)


def _with_article(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
