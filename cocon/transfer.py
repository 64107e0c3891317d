"""Numbers between host and device, without a wait.

A copy that blocks waits until the device has done all that it was given before, and so leaves it idle until
the host has launched the next operation. That holds for a copy from memory that is not pinned, and for
constants: ``x.new_tensor([...])`` on a GPU is such a copy.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import cache
from typing import TypeVar

import torch
from torch import Tensor

KeyT = TypeVar("KeyT", bound=Hashable)


def sent(x: Tensor, device: torch.device) -> Tensor:
    """A small tensor of the host on the device; ``x`` itself where it is there already."""
    if x.device == device:
        return x
    if device.type == "cuda":
        x = x.pin_memory()
    return x.to(device, non_blocking=True)


def sent_together(parts: Mapping[KeyT, Tensor], device: torch.device) -> dict[KeyT, Tensor]:
    """Vectors of the host on the device, all in one copy; float32."""
    if not parts or all(part.device == device for part in parts.values()):
        return dict(parts)
    whole = sent(torch.cat(list(parts.values())), device)
    return dict(zip(parts, whole.split([len(part) for part in parts.values()]), strict=True))


@cache
def constant(values: tuple[float, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    """These numbers as a tensor, which must not be written to; made and sent once per device."""
    return sent(torch.tensor(values, dtype=dtype), device)


class Late:
    """Numbers that a device may still have to compute, on their way to the host.

    Args:
        values: a tensor with one dimension, which is not written to any more.
    """

    def __init__(self, values: Tensor) -> None:
        self._host = values.to("cpu", non_blocking=True)
        self._there: torch.cuda.Event | None = None
        if values.device.type == "cuda":
            self._there = torch.cuda.Event()
            self._there.record(torch.cuda.current_stream(values.device))

    def read(self) -> list[float]:
        """The numbers; waits until they are there, and not for what the device was given since."""
        if self._there is not None:
            self._there.synchronize()
        numbers: list[float] = self._host.tolist()
        return numbers
