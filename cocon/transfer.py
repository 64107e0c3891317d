"""Transfers numbers between host and device without blocking.

A blocking copy waits until the device has finished all earlier work, and so leaves it idle until the host
launches the next operation. This applies to a copy from memory that is not pinned, and for constants:
``x.new_tensor([...])`` on a GPU is such a copy.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import cache
from typing import TypeVar

import torch
from torch import Tensor

KeyT = TypeVar("KeyT", bound=Hashable)


def sent(x: Tensor, device: torch.device) -> Tensor:
    """Copy a small tensor from the host to the device; returns ``x`` itself if it is already there."""
    if x.device == device:
        return x
    if device.type == "cuda":
        x = x.pin_memory()
    return x.to(device, non_blocking=True)


def sent_together(parts: Mapping[KeyT, Tensor], device: torch.device) -> dict[KeyT, Tensor]:
    """Copy vectors from the host to the device, all in one transfer; float32."""
    if not parts or all(part.device == device for part in parts.values()):
        return dict(parts)
    whole = sent(torch.cat(list(parts.values())), device)
    return dict(zip(parts, whole.split([len(part) for part in parts.values()]), strict=True))


@cache
def constant(values: tuple[float, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    """These numbers as a tensor, which must not be written to; made and sent once per device."""
    return sent(torch.tensor(values, dtype=dtype), device)


class Late:
    """A pending transfer to the host of numbers that a device may still be computing.

    Args:
        values: a tensor that is not written to any more.
    """

    def __init__(self, values: Tensor) -> None:
        self._host = values.to("cpu", non_blocking=True)
        self._there: torch.cuda.Event | None = None
        if values.device.type == "cuda":
            self._there = torch.cuda.Event()
            self._there.record(torch.cuda.current_stream(values.device))

    def tensor(self) -> Tensor:
        """Wait for the numbers and return them, on the host; later work of the device is not waited for."""
        if self._there is not None:
            self._there.synchronize()
        return self._host

    def read(self) -> list[float]:
        """The same, of a tensor with one dimension."""
        numbers: list[float] = self.tensor().tolist()
        return numbers
