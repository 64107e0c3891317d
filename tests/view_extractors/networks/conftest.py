"""Networks on a CPU as on a GPU: frames scaled by torch, and half precision."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from view_extractors.networks import devices


@pytest.fixture
def as_on_a_gpu(monkeypatch) -> Callable[[str], None]:
    """From the call on, the CPU counts as a GPU, with this type as half precision.

    With ``float32`` only the rest of a GPU's path is taken (torch says that it switches its casts off).
    bfloat16 has fewer bits than a GPU's float16, and numpy does not take it: it shows every place where
    something leaves the network in half precision.
    """

    def start(half: str) -> None:
        monkeypatch.setattr(devices, "_GPUS", ("cuda", "cpu"))
        monkeypatch.setattr(devices, "_HALF", half)

    return start
