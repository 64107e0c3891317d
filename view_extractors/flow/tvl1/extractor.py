"""The backend ``tvl1``."""

from __future__ import annotations

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
    from view_extractors.flow.tvl1.queue import FlowQueue


class Tvl1(FlowExtractor):
    """TV-L1 flow (Zach, Pock and Bischof 2007; Sánchez et al. 2013) in our own code, see docs/flow.md.

    On a CPU each thread takes a part of the pairs. On a GPU many are computed at once, and results are
    pending.

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
        self._queue: FlowQueue | None = None
        if uses_gpu(resources):
            from view_extractors.flow.tvl1.on_gpu import Tvl1OnGpu
            from view_extractors.flow.tvl1.queue import FlowQueue

            self._queue = FlowQueue(Tvl1OnGpu(self._scheme, torch_device(resources)))

    def between(self, pictures: list[np.ndarray]) -> list[Any]:
        """Flow from a CPU; from a GPU pending bytes, see the base class."""
        if self._queue:
            return self._queue.submit(pictures, self.stored_size, self.settings.bound)
        return super().between(pictures)

    def flows(self, pictures: np.ndarray) -> np.ndarray:
        """Motion between neighbours on a CPU, see the base class."""
        pairs, threads = len(pictures) - 1, self.resources.threads
        if threads == 1:
            return np.stack(list(cpu.flows(pictures, self._scheme)))
        ends = [pairs * part // threads for part in range(threads + 1)]
        parts = [pictures[begin : end + 1] for begin, end in pairwise(ends) if end > begin]
        with ThreadPoolExecutor(threads) as pool:
            done = pool.map(lambda part: list(cpu.flows(part, self._scheme)), parts)
            return np.stack([flow for part in done for flow in part])
