"""Networks on disk: a safetensors file whose metadata say what it holds and how that came about.

A file records its kind: an encoder (here) or a classifier (:mod:`cocon.evaluation.classifier_file`), and has
a checksum of all that is in it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import BaseModel, ValidationError
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from cocon.config.schema import Clip, Network
from cocon.errors import CheckpointError
from cocon.files import atomic_path
from cocon.loading import CHECKSUM, checksum, in_short, parse_object, reading
from cocon.models.encoder import encoder_class
from cocon.models.network import ViewNetwork, build_network
from cocon.views import VIEWS

#: what has chosen the epoch of an encoder, by pretraining.best_by; files and model cards say so
CHOSEN_BY = {
    "validation_loss": "the loss on training videos held out",
    "probe": "k-NN on labelled training videos",
}
_METADATA = "cocon"
_FORMAT = 1
_ENCODER = "encoder"
_FIRST = "run `cocon init` or `cocon pretrain` first"
_AGAIN = "delete it and run the command that wrote it again"
_SHOWN = 5
SectionT = TypeVar("SectionT", bound=BaseModel)
ModuleT = TypeVar("ModuleT", bound=nn.Module)


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
        device: where the network is to be.
        view: the view that is expected; None: any.
        network: the architecture that is expected; None: any.

    Raises:
        CheckpointError: as :func:`read_info`, when the file is damaged or has weights that are not finite,
            and when view or architecture are not those expected.
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
        raise CheckpointError(f"{path} does not record how it was trained", _AGAIN)
    return EncoderInfo(view, network.of(view), clip, pretraining, document)


# ------------------------------------------------------------------------ what all kinds have in common


def write_network(path: Path, model: nn.Module, kind: str, document: dict[str, Any]) -> None:
    """Write weights, kind, a JSON-like document about them, and the checksum of all that, atomically.

    Raises:
        CheckpointError: when weights are not finite; nothing is written then.
    """
    document = {"format": _FORMAT, "kind": kind, **document}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    check_weights(f"the {kind} of the view {document['view']}", tensors)
    with atomic_path(path) as temporary:
        temporary.write_bytes(to_bytes(tensors, document))


def to_bytes(tensors: Mapping[str, Tensor], document: Mapping[str, Any]) -> bytes:
    """A safetensors file of this project: tensors, a document and the checksum of everything.

    Equal arguments give equal bytes. (The library writes its metadata in any order.)
    """
    text = json.dumps(document, sort_keys=True)
    data = save(dict(tensors), {_METADATA: text, CHECKSUM: _checksum(text, tensors)})
    begin = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:begin]), sort_keys=True, separators=(",", ":")).encode()
    header = header.ljust(-(-len(header) // 8) * 8)  # tensors begin at a multiple of eight bytes
    return b"".join([len(header).to_bytes(8, "little"), header, memoryview(data)[begin:]])


def check_weights(whose: str, tensors: Mapping[str, Tensor]) -> None:
    """Refuse weights that are not finite.

    Raises:
        CheckpointError: with the names of some.
    """
    bad = [name for name, x in tensors.items() if x.is_floating_point() and not x.isfinite().all()]
    if bad:
        raise CheckpointError(
            f"{whose} has weights that are not finite numbers: {_some(bad)}",
            "its training diverged: lower the learning rate and train it again",
        )


def read_document(path: Path, kind: str, hint: str) -> dict[str, Any]:
    """The document of :func:`write_network`, without its weights and without comparing the checksum.

    Args:
        path: the file.
        kind: what it has to be.
        hint: what to do when there is no such file.

    Raises:
        CheckpointError: when it is missing, no file of this project, of another kind, or of no known view.
    """
    return _document(path, read_tensors(path, hint, only_metadata=True)[0], kind)


def read_network(path: Path, kind: str, hint: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Document and weights of :func:`write_network`; arguments as of :func:`read_document`.

    Raises:
        CheckpointError: as :func:`read_document`, and when the file is damaged or has weights that are not
            finite.
    """
    text, tensors = read_tensors(path, hint)
    document = _document(path, text, kind)
    check_weights(str(path), tensors)
    return document, tensors


def read_tensors(path: Path, hint: str, *, only_metadata: bool = False) -> tuple[str, dict[str, Tensor]]:
    """The text of the metadata and the tensors of a safetensors file of this project.

    The checksum is compared; a file of an earlier version has none.

    Raises:
        CheckpointError: when the file is missing, damaged, or of another program.
    """
    with reading(path, "readable safetensors file", CheckpointError, missing=hint, damaged=_AGAIN):
        if not Path(path).is_file():
            raise CheckpointError(f"there is no checkpoint {path}", hint)
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            names = [] if only_metadata else list(file.keys())
            tensors = {name: file.get_tensor(name) for name in names}
        if _METADATA not in metadata:
            raise CheckpointError(f"{path} is a safetensors file of another program", hint)
        text = metadata[_METADATA]
        if not only_metadata and metadata.get(CHECKSUM, found := _checksum(text, tensors)) != found:
            raise CheckpointError(f"{path} is damaged: its checksum is wrong", _AGAIN)
        return text, tensors


def _checksum(text: str, tensors: Mapping[str, Tensor]) -> str:
    return checksum(
        text,
        (
            (name, str(x.dtype), x.shape, x.contiguous().reshape(-1).view(torch.uint8).numpy())
            for name, x in sorted(tensors.items())
        ),
    )


def _document(path: Path, text: str, kind: str) -> dict[str, Any]:
    with reading(path, f"readable {kind}", CheckpointError, missing="", damaged=_AGAIN):
        document = parse_object(text)
    found, version = document.pop("kind", "file of an unknown kind"), document.pop("format", 0)
    if found != kind:
        raise CheckpointError(
            f"{path} is {_with_article(str(found)[:40])} ({document.get('view')}), not {_with_article(kind)}",
            "encoders lie in pretrain/<pretraining>/, classifiers in evaluation/<pretraining>/<view>/",
        )
    if not isinstance(version, int) or version > _FORMAT:
        raise CheckpointError(
            f"{path} is not {_with_article(kind)} that this version can read", "use a later version"
        )
    view = document.get("view")
    if view not in list(VIEWS):
        known = ", ".join(VIEWS)
        raise CheckpointError(
            f"{path} is {_with_article(kind)} of the view '{str(view)[:40]}'; known are {known}",
            "use the version of cocon that wrote it, or a later one",
        )
    return document


def settings_in(document: dict[str, Any], path: Path, key: str, section: type[SectionT]) -> SectionT:
    """Take a section of settings out of a document.

    Raises:
        CheckpointError: when this version does not understand it.
    """
    try:
        return section.model_validate(document.pop(key, None))
    except ValidationError as error:
        raise CheckpointError(
            f"{path} has settings that this version does not support: {key}: {in_short(error)}",
            "use the version of cocon that wrote it, or a later one",
        ) from error


def built_with(
    path: Path, tensors: Mapping[str, Tensor], network: Network, build: Callable[[], ModuleT]
) -> ModuleT:
    """A module with the weights of a file.

    Args:
        path: where the weights come from.
        tensors: the weights.
        network: settings of the network, as the file gives them; they have to fit its size before anything is
            built.
        build: makes the module.

    Raises:
        CheckpointError: when the weights have other names, shapes or types than those of the module.
    """
    fewest = encoder_class(network.encoder).fewest_weights(network)
    if fewest > sum(tensor.numel() for tensor in tensors.values()):
        raise CheckpointError(
            f"{path} does not match the network it describes: it has too few weights", _AGAIN
        )
    model = build()
    own = model.state_dict()
    wrong = own.keys() ^ tensors.keys() | {
        name
        for name in own.keys() & tensors.keys()
        if own[name].shape != tensors[name].shape or own[name].dtype != tensors[name].dtype
    }
    if wrong:
        raise CheckpointError(
            f"{path} does not match the network it describes: {_some(sorted(wrong))}", _AGAIN
        )
    model.load_state_dict(dict(tensors))
    return model


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _with_article(kind: str) -> str:
    return f"{'an' if kind[:1] in tuple('aeiou') else 'a'} {kind}"
