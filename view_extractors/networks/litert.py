"""Networks in TensorFlow Lite files, run by LiteRT on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

import numpy as np

from cocon.errors import AssetError
from cocon.installation import failed_import, how_to_install

T = TypeVar("T")
R = TypeVar("R")


class LiteRt:
    """One network with one input. It is for one thread at a time.

    Raises:
        AssetError: ai-edge-litert is not installed.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            install = how_to_install("ai_edge_litert")
            raise AssetError(*failed_import(path.name, "ai-edge-litert", error, install)) from error
        self._interpreter: Any = Interpreter(str(path), num_threads=threads)
        self._input = self._interpreter.get_input_details()[0]
        self._shape: tuple[int, ...] = ()

    def __call__(self, picture_HWC: np.ndarray) -> dict[tuple[int, ...], np.ndarray]:
        """The outputs by their shapes, for a picture of the input's type."""
        if picture_HWC.shape != self._shape:
            self._interpreter.resize_tensor_input(self._input["index"], (1, *picture_HWC.shape))
            self._interpreter.allocate_tensors()
            self._outputs = {
                tuple(output["shape"].tolist()): output["index"]
                for output in self._interpreter.get_output_details()
            }
            self._shape = picture_HWC.shape
        self._interpreter.set_tensor(self._input["index"], picture_HWC[None])
        self._interpreter.invoke()
        return {shape: self._interpreter.get_tensor(index) for shape, index in self._outputs.items()}


class Pool:
    """Copies of one network, one per thread, for pictures that do not depend on each other."""

    def __init__(self, path: Path, threads: int) -> None:
        self._free: SimpleQueue[LiteRt] = SimpleQueue()
        for _ in range(threads):
            self._free.put(LiteRt(path))
        self._map: Callable[..., Iterable[Any]] = ThreadPoolExecutor(threads).map if threads > 1 else map

    def map(self, work: Callable[[LiteRt, T], R], items: Iterable[T]) -> list[R]:
        """``work(network, item)`` of every item, in their order."""

        def with_one(item: T) -> R:
            network = self._free.get()
            try:
                return work(network, item)
            finally:
                self._free.put(network)

        return list(self._map(with_one, items))
