"""The backend ``tvl1``."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from view_extractors.base import Resources
from view_extractors.flow.base import FlowExtractor
from view_extractors.flow.tvl1 import cpu
from view_extractors.flow.tvl1.scheme import scheme_of
from view_extractors.networks.devices import torch_device, uses_gpu

if TYPE_CHECKING:
    from view_extractors.flow.tvl1.on_gpu import Tvl1OnGpu


class Tvl1(FlowExtractor):
    """TV-L1 flow (Zach, Pock and Bischof 2007; Sánchez et al. 2013) in our own code, see docs/flow.md.

    On a CPU each thread takes a part of the pairs; on a GPU they are computed all at once.

    Raises:
        CoConError: a GPU is requested and there is none.
        ModuleNotFoundError: a GPU is requested, and torch is not installed.
    """

    backend = "tvl1"

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        self._scheme = scheme_of(self.options)

    def prepare(self, resources: Resources) -> None:
        """Choose the device."""
        super().prepare(resources)
        self._gpu: Tvl1OnGpu | None = None
        if uses_gpu(resources):
            from view_extractors.flow.tvl1.on_gpu import Tvl1OnGpu

            self._gpu = Tvl1OnGpu(self._scheme, torch_device(resources))

    def start(self, height: int, width: int) -> None:
        """Start a new video."""
        super().start(height, width)
        self._waiting: list[np.ndarray] = []

    def process(self, batch: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Flows from a CPU; from a GPU stored bytes (h, w, 2), once there is enough to keep it busy."""
        if not self._gpu:
            return super().process(batch)
        pictures = self._waiting + self.pictures(batch)
        if len(pictures) <= self._gpu.together(*self.compute_size):
            self._waiting = pictures
            return []
        results = list(self._gpu.stored(pictures, self.stored_size, self.settings.bound))
        self._waiting = pictures[-1:]
        self._last = results[-1]
        return results

    def finish(self) -> list[np.ndarray]:
        """The flow of the pending frames and of the last frame."""
        waiting: list[np.ndarray] = []
        if self._gpu and len(self._waiting) > 1:
            waiting = list(self._gpu.stored(self._waiting, self.stored_size, self.settings.bound))
            self._last = waiting[-1]
        return waiting + super().finish()

    def flows(self, pictures: np.ndarray) -> np.ndarray:
        """Motion between neighbours, see the base class."""
        if self._gpu:
            return self._gpu.flows(list(pictures))
        pairs, threads = len(pictures) - 1, self.resources.threads
        if threads == 1:
            return np.stack(list(cpu.flows(pictures, self._scheme)))
        ends = [pairs * part // threads for part in range(threads + 1)]
        parts = [pictures[begin : end + 1] for begin, end in pairwise(ends) if end > begin]
        with ThreadPoolExecutor(threads) as pool:
            done = pool.map(lambda part: list(cpu.flows(part, self._scheme)), parts)
            return np.stack([flow for part in done for flow in part])
