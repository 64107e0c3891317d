"""Shared by the networks in torch: their device and precision, the transfer of frames, and the batch size."""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from cocon.errors import CoConError
from cocon.installation import failed_import, how_to_install
from view_extractors.base import Resources

if TYPE_CHECKING:
    import torch

#: part of the free memory of a GPU that one step may fill
_SHARE = 0.5
#: torch's names of the devices that are GPUs; tests add the CPU, to run the same code there
_GPUS = ("cuda",)
#: torch's name of the type of half precision
_HALF = "float16"
Module = TypeVar("Module", bound="torch.nn.Module")


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


def is_gpu(device: torch.device) -> bool:
    """Whether networks on this device run as on a GPU: in half precision, with frames scaled there."""
    return device.type in _GPUS


def placed(network: Module, device: torch.device) -> Module:
    """The network on the device, to infer; a GPU convolves in half precision with the channels last."""
    import torch

    network = network.eval().to(device)
    if is_gpu(device):
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in torch's stubs
    return network


def half_precision(device: torch.device) -> torch.autocast:
    """A context in which convolutions and matrix products are in half precision on a GPU; no change on a CPU.

    See :func:`keep_float32` for the layers whose results become coordinates and scores.
    """
    import torch

    return torch.autocast(device.type, getattr(torch, _HALF), enabled=is_gpu(device))


def keep_float32(network: torch.nn.Module, names: Iterable[str]) -> None:
    """Let parts of a network compute in float32, from and to float32, also inside of :func:`half_precision`.

    Half precision has 11 bits: steps of .5 px at coordinates above 512, and steps between the logits of a
    heatmap that move its maximum. The last layers, from which such numbers come, cost little in float32.

    Args:
        network: with the parts.
        names: of modules, wherever they are in the network; of a list of modules, for each of them.
    """
    wanted = set(names)
    for path, module in network.named_modules():
        if wanted.intersection([part for part in path.split(".") if not part.isdigit()][-1:]):
            module.forward = _in_float32(module.forward)


def _in_float32(forward: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(forward)
    def run(*inputs: Any) -> Any:
        import torch

        kind = _first_tensor(inputs).device.type
        with torch.autocast(kind, enabled=False):
            return forward(*map(_float32, inputs))

    return run


def _first_tensor(value: Any) -> torch.Tensor:
    """The first of the tensors in nested lists and tuples."""
    while isinstance(value, list | tuple):
        value = value[0]
    tensor: torch.Tensor = value
    return tensor


def _float32(value: Any) -> Any:
    """The same with tensors of floats, in nested lists and tuples too, as float32."""
    import torch

    if isinstance(value, list | tuple):
        return type(value)(map(_float32, value))
    return value.float() if isinstance(value, torch.Tensor) and value.is_floating_point() else value


def host_bytes(shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """Empty ``uint8`` memory of the host; page-locked if a GPU is to read or write it.

    That comes from torch's own cache, which waits for pending copies before it is used again.
    """
    import torch

    return torch.empty(shape, dtype=torch.uint8, pin_memory=device.type == "cuda")


def stacked_on(pictures: Sequence[np.ndarray], device: torch.device) -> torch.Tensor:
    """``uint8`` pictures of one shape on the device, (B, ...); a GPU copies asynchronously."""
    host = host_bytes((len(pictures), *pictures[0].shape), device)
    np.stack(pictures, out=host.numpy())
    return host.to(device, non_blocking=True)


def upload(pictures_BHWC: np.ndarray | Sequence[np.ndarray], device: torch.device) -> torch.Tensor:
    """``uint8`` pictures of one size (H, W, C) on the device as (B, C, H, W); a GPU copies asynchronously."""
    import torch

    if device.type == "cuda":
        pixels_BHWC = stacked_on(list(pictures_BHWC), device)
    else:
        pixels_BHWC = torch.from_numpy(np.ascontiguousarray(pictures_BHWC))
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
