"""Batches that do not fit into the memory of the GPU are repeated in halves."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


class FittingBatches:
    """Calls functions on batches that fit the GPU's memory, and keeps the batch size that fitted.

    The results do not change: no backend's result depends on how frames are cut into batches, and one that
    raises keeps its state (see :meth:`view_extractors.base.Extractor.process`).

    Args:
        halved: called with the new size of the batches.
    """

    def __init__(self, halved: Callable[[int], None]) -> None:
        self._halved = halved
        self._largest = sys.maxsize

    def __call__(self, function: Callable[[Sequence[T]], list[R]], batch: Sequence[T]) -> list[R]:
        """The results of ``function`` for the whole batch, one or several parts at a time.

        Raises:
            Exception: what the function raises, if that is not a lack of GPU memory for several frames.
        """
        results: list[R] = []
        done = 0
        while done < len(batch):
            part = batch[done : done + self._largest]
            try:
                results += function(part)
                done += len(part)
                continue
            except Exception as error:
                if len(part) == 1 or not _out_of_memory(error):
                    raise
            # The exception has been released by now, and with it the memory of the failed call.
            self._largest = len(part) // 2
            sys.modules["torch"].cuda.empty_cache()
            self._halved(self._largest)
        return results


def _out_of_memory(error: Exception) -> bool:
    """Whether this is torch's error; torch is only imported where a backend uses it."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(error, torch.OutOfMemoryError)
