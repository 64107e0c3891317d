"""The kernels of TV-L1 with other constants than the chosen ones, one changed at a time: pairs/s.

A constant that is faster than the chosen one on a card of today belongs into the kernels.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from benchmarks.on_gpu.rows import Measurement, Row, Skipped, Task
from benchmarks.on_gpu.tvl1 import SIZES, pairs_per_second, real, rendered
from cocon.config.schema import Tvl1PresetParameters
from view_extractors.base import resize
from view_extractors.flow.tvl1 import batched, on_gpu
from view_extractors.flow.tvl1.scheme import scheme_of

PAIRS = 218
#: by name: a module, and constants of it
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "chosen": ("iteration", {}),
    "float32": ("fused", {"KEPT": torch.float32}),
    "rows 30": ("iteration", {"_ROWS": 30}),
    "rows 120": ("iteration", {"_ROWS": 120}),
    "strip 32": ("iteration", {"_STRIP": 32}),
    "depth 3": ("iteration", {"DEPTH": 3}),
    "depth 2": ("iteration", {"DEPTH": 2}),
    "registers 128": ("iteration", {"maxnreg": 128}),
    "registers 168": ("iteration", {"maxnreg": 168}),
    "tile 8x64": ("warping", {"_TILE": {"BLOCK_H": 8, "BLOCK_W": 64}}),
    "tile 2x64": ("warping", {"_TILE": {"BLOCK_H": 2, "BLOCK_W": 64}}),
    "tile 4x32": ("warping", {"_TILE": {"BLOCK_H": 4, "BLOCK_W": 32}}),
}


def measurements(task: Task) -> Iterator[Measurement]:
    frames = [resize(frame, SIZES[0]) for frame in real(1 + PAIRS) or rendered(64)]
    there_and_back = frames + frames[-2:0:-1]
    pictures = [there_and_back[i % len(there_and_back)] for i in range(1 + PAIRS)]
    for name in VARIANTS:
        yield Measurement(f"tvl1 tuning {name}", 8, partial(row, task, pictures, name))


def row(task: Task, pictures: list[np.ndarray], name: str) -> Row:
    """Of the preset ``exact``."""
    if on_gpu.best_refine(task.place) is batched.refine:
        raise Skipped("without fused kernels")
    from view_extractors.flow.tvl1 import fused
    from view_extractors.flow.tvl1.kernels import iteration, warping

    modules = {"iteration": iteration, "warping": warping, "fused": fused}
    module, constants = VARIANTS[name]
    gpu = on_gpu.Tvl1OnGpu(scheme_of(Tvl1PresetParameters(preset="exact")), task.place)
    with changed(modules[module], constants):
        rate = pairs_per_second(pictures, gpu, len(pictures), task.seconds(1.5))
    return {"rate": round(rate, 1), "unit": "pairs/s"}


@contextlib.contextmanager
def changed(module: ModuleType, constants: dict[str, Any]) -> Iterator[None]:
    """A module of kernels with other constants, or with a limit of registers per thread."""
    with contextlib.ExitStack() as stack:
        for name, value in constants.items():
            if name == "maxnreg":
                name, value = "FUSED", {**module.FUSED, name: value}
            stack.enter_context(patch.object(module, name, value))
        yield
