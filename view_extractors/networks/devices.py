"""Shared by the networks in torch: their device, the transfer of frames, and the batch size."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from cocon.errors import CoConError
from cocon.installation import failed_import, how_to_install
from view_extractors.base import Resources

if TYPE_CHECKING:
    import torch

#: part of the free memory of a GPU that one step may fill
_SHARE = 0.5


def torchvision_models(module: str, backend: str) -> ModuleType:
    """The module ``torchvision.models.<module>``.

    Raises:
        CoConError: torchvision is not installed.
    """
    try:
        return importlib.import_module(f"torchvision.models.{module}")
    except ImportError as error:
        install = f"{how_to_install('torchvision')} (docs/backends.md)"
        raise CoConError(*failed_import(f"the backend '{backend}'", "torchvision", error, install)) from error


def uses_gpu(resources: Resources) -> bool:
    """Whether a backend that does not need torch runs on a GPU; with ``auto``, torch may be missing.

    Raises:
        CoConError: a GPU is requested and there is none.
        ModuleNotFoundError: a GPU is requested and torch is missing.
    """
    if resources.device == "cpu" or (resources.device == "auto" and not importlib.util.find_spec("torch")):
        return False
    return torch_device(resources).type == "cuda"


def torch_device(resources: Resources) -> torch.device:
    """Where networks run, by ``resources.device``; on a CPU they get ``resources.threads``.

    Raises:
        CoConError: a GPU is requested and there is none.
    """
    import torch

    available = torch.cuda.is_available()
    if resources.device == "cuda" and not available:
        raise CoConError("there is no CUDA device", "set device to auto or cpu")
    if available and resources.device != "cpu":
        return torch.device("cuda")
    torch.set_num_threads(resources.threads)
    return torch.device("cpu")


def upload(pictures_BHWC: np.ndarray, device: torch.device) -> torch.Tensor:
    """``uint8`` (B, H, W, C) on the device as (B, C, H, W); a GPU copies asynchronously."""
    import torch

    pixels_BHWC = torch.from_numpy(np.ascontiguousarray(pictures_BHWC))
    if device.type == "cuda":
        pixels_BHWC = pixels_BHWC.pin_memory().to(device, non_blocking=True)
    return pixels_BHWC.permute(0, 3, 1, 2)


def at_once(device: torch.device, bytes_each: int) -> int:
    """How many items of about this size (bytes) one step may take; one on a CPU, where more are no faster."""
    import torch

    if device.type != "cuda":
        return 1
    free, _ = torch.cuda.mem_get_info(device)
    free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return max(1, int(_SHARE * free) // bytes_each)


class OnGpu:
    """Runs a network on as many pictures at once as fit the GPU's memory.

    Args:
        network: from ``uint8`` (B, H, W, 3) to a tensor with B items.
        resources: with the device.
        bytes_per_pixel: memory for a picture.

    Raises:
        CoConError: there is no GPU.
    """

    def __init__(self, network: torch.nn.Module, resources: Resources, bytes_per_pixel: int) -> None:
        self._device = torch_device(resources)
        self._network = network.to(self._device)
        self._bytes_per_pixel = bytes_per_pixel

    def __call__(self, pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The network's output for each of some pictures (H, W, 3) of one size."""
        found: list[np.ndarray] = []
        for rest in range(0, len(pictures), step := self._step(pictures)):
            pixels_BCHW = upload(np.stack(pictures[rest : rest + step]), self._device)
            found.extend(self._network(pixels_BCHW.permute(0, 2, 3, 1)).cpu().numpy())
        return found

    def _step(self, pictures: Sequence[np.ndarray]) -> int:
        pixels = pictures[0].shape[0] * pictures[0].shape[1] if pictures else 1
        return at_once(self._device, self._bytes_per_pixel * pixels)
