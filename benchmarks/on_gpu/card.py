"""The card's peaks, as measured: matrix products in TFLOP/s and copies in GB/s."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch

from benchmarks.on_gpu.rows import Measurement, Row, Task, calls_per_second, synchronise

#: products or copies per wait of the host, so that launches are hidden
_TOGETHER = 8


def measurements(task: Task) -> Iterator[Measurement]:
    for name in ("bf16", "tf32", "fp32"):
        yield Measurement(f"card {name}", 5, partial(product, task, name))
    yield Measurement("card copy", 5, partial(copy, task))
    yield Measurement("card upload", 5, partial(upload, task))


def product(task: Task, name: str) -> Row:
    """Square matrices."""
    side = 64 if task.quick else 8192
    dtype = torch.bfloat16 if name == "bf16" else torch.float32
    a, b = (torch.randn(side, side, device=task.place).to(dtype) for _ in range(2))
    out = torch.empty_like(a)
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = name == "tf32"
    try:
        rate = _rate(task, lambda: torch.mm(a, b, out=out), 3 if name == "fp32" else _TOGETHER)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
    return {"rate": round(rate * 2 * side**3 / 1e12, 3), "unit": "TFLOP/s", "side": side}


def copy(task: Task) -> Row:
    """From the card's memory to the card's memory; bytes read and bytes written."""
    size = 1 << (16 if task.quick else 30)
    here, there = (torch.zeros(size, dtype=torch.uint8, device=task.place) for _ in range(2))
    rate = _rate(task, lambda: there.copy_(here), _TOGETHER)
    return {"rate": round(rate * 2 * size / 1e9, 2), "unit": "GB/s"}


def upload(task: Task) -> Row:
    """From pinned memory of the host."""
    size = 1 << (16 if task.quick else 28)
    host = torch.zeros(size, dtype=torch.uint8, pin_memory=task.place.type == "cuda")
    there = torch.empty(size, dtype=torch.uint8, device=task.place)
    rate = _rate(task, lambda: there.copy_(host, non_blocking=True), _TOGETHER)
    return {"rate": round(rate * size / 1e9, 2), "unit": "GB/s"}


def _rate(task: Task, call: object, together: int) -> float:
    """Calls per second."""
    assert callable(call)

    def several() -> None:
        for _ in range(together):
            call()

    synchronise(task.place)
    return together * calls_per_second(several, task.place, task.seconds(0.5))
