"""Reads and writes networks: safetensors files with metadata on content and training.

A file records its kind: an encoder (:mod:`cocon.training.checkpoint`) or a classifier
(:mod:`cocon.evaluation.classifier_file`), and holds a checksum of its content.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import BaseModel, ValidationError
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from cocon.config.schema import Network
from cocon.errors import CheckpointError
from cocon.files import atomic_path
from cocon.loading import CHECKSUM, checksum, in_short, parse_object, reading
from cocon.models.encoder import encoder_class
from cocon.views import VIEWS

AGAIN = "delete it and run the command that wrote it again"
"""What to do about a file that cannot be used."""
_METADATA = "cocon"
_FORMAT = 1
_SHOWN = 5
SectionT = TypeVar("SectionT", bound=BaseModel)
ModuleT = TypeVar("ModuleT", bound=nn.Module)


def write_network(path: Path, model: nn.Module, kind: str, document: dict[str, Any]) -> None:
    """Write weights, kind, a JSON-like document about them, and a checksum of everything, atomically.

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
    """Read the document of :func:`write_network` only; the checksum is not compared.

    Args:
        path: the file.
        kind: the expected kind.
        hint: what to do if there is no such file.

    Raises:
        CheckpointError: when it is missing, not from this project, of another kind, or of an unknown view.
    """
    return _document(path, read_tensors(path, hint, only_metadata=True)[0], kind)


def read_network(path: Path, kind: str, hint: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Document and weights of :func:`write_network`; arguments as of :func:`read_document`.

    Raises:
        CheckpointError: as :func:`read_document`, and when the file is damaged or has non-finite weights.
    """
    text, tensors = read_tensors(path, hint)
    document = _document(path, text, kind)
    check_weights(str(path), tensors)
    return document, tensors


def read_tensors(path: Path, hint: str, *, only_metadata: bool = False) -> tuple[str, dict[str, Tensor]]:
    """The text of the metadata and the tensors of a safetensors file of this project.

    The checksum is compared; a file of an earlier version has none.

    Raises:
        CheckpointError: when the file is missing, damaged, or from another program.
    """
    with reading(path, "readable safetensors file", CheckpointError, missing=hint, damaged=AGAIN):
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
            raise CheckpointError(f"{path} is damaged: its checksum is wrong", AGAIN)
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
    with reading(path, f"readable {kind}", CheckpointError, missing="", damaged=AGAIN):
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
        CheckpointError: when this version cannot parse it.
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
        network: settings of the network, from the file; checked against its size before anything is built.
        build: builds the module.

    Raises:
        CheckpointError: when the weights have other names, shapes or types than those of the module.
    """
    fewest = encoder_class(network.encoder).fewest_weights(network)
    if fewest > sum(tensor.numel() for tensor in tensors.values()):
        raise CheckpointError(
            f"{path} does not match the network it describes: it has too few weights", AGAIN
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
            f"{path} does not match the network it describes: {_some(sorted(wrong))}", AGAIN
        )
    model.load_state_dict(dict(tensors))
    return model


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _with_article(kind: str) -> str:
    return f"{'an' if kind[:1] in tuple('aeiou') else 'a'} {kind}"
