"""Read the tensors of published checkpoints without executing code from them.

Checkpoints are pickles, which may run any code when they are loaded. Those of OpenMMLab hold objects of their
own next to the tensors, so ``torch.load(weights_only=True)`` rejects them, and those of Detectron2 are not
torch files. Here only the classes that make up tensors and arrays are loaded; every other object of a file
becomes an empty placeholder.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from cocon.errors import AssetError
from cocon.loading import reading
from view_extractors.networks.weights import check_finite, resolve

if TYPE_CHECKING:
    import torch

#: the classes that make up tensors and arrays; torch itself provides its storages
_HARMLESS = {
    ("collections", "OrderedDict"),
    ("_codecs", "encode"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_parameter"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
}
_AGAIN = "delete it, and run it again to download it again"
#: constants that networks have from their configuration, whether or not a checkpoint holds them too
_CONSTANTS = ("pixel_mean", "pixel_std", "num_batches_tracked")


class _Placeholder:
    """Stands for any other object, and discards its arguments."""

    def __init__(self, *arguments: Any, **options: Any) -> None: ...

    def __setstate__(self, state: Any) -> None: ...

    def __setitem__(self, key: Any, value: Any) -> None: ...

    def append(self, item: Any) -> None:
        """An item of a pickled list."""

    def extend(self, items: Any) -> None:
        """Items of a pickled list."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """The class or function that a pickle names, if it is harmless."""
        return super().find_class(module, name) if (module, name) in _HARMLESS else _Placeholder


def _load(file: IO[bytes], **options: Any) -> Any:
    return _Unpickler(file, **options).load()


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint of OpenMMLab (``.pth``) or Detectron2 (``.pkl``) by their names.

    Raises:
        AssetError: the file holds no tensors.
    """
    import torch

    with reading(path, "file of weights", AssetError, missing=_AGAIN, damaged=_AGAIN):
        if path.suffix == ".pkl":
            with path.open("rb") as file:
                content = _load(file, encoding="latin1")
        else:
            restricted = SimpleNamespace(__name__="restricted", Unpickler=_Unpickler, load=_load)
            content = torch.load(path, map_location="cpu", weights_only=False, pickle_module=restricted)
        if isinstance(content, dict):
            parts = (content.get(key) for key in ("state_dict", "model"))
            content = next((part for part in parts if isinstance(part, dict) and part), content)
        if not isinstance(content, dict) or not all(_is_weight(*pair) for pair in content.items()):
            raise AssetError(f"{path} contains no tensors", _AGAIN)
        return {name: torch.as_tensor(value) for name, value in content.items()}


def _is_weight(name: Any, value: Any) -> bool:
    import torch

    numbers = isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "fiub"
    return isinstance(name, str) and (numbers or isinstance(value, torch.Tensor))


def load_published(network: torch.nn.Module, name: str) -> None:
    """Load the weights ``name`` into ``network``.

    Raises:
        AssetError: see :func:`view_extractors.networks.weights.resolve`; or they belong to another
            network, or are not finite.
    """
    path = resolve(name)
    tensors = read_tensors(path)
    check_finite(path, tensors)
    try:
        missing = network.load_state_dict(tensors, strict=False).missing_keys
    except RuntimeError as error:
        raise AssetError(f"{path} belongs to another network: {error}") from error
    missing = [key for key in missing if not key.endswith(_CONSTANTS)]
    if missing:
        raise AssetError(f"{path} belongs to another network: it lacks {', '.join(missing[:3])}")
