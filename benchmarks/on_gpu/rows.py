"""Rows of the table of benchmarks.gpu: what measures them, under which limits, and how they are printed."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

#: rate and unit; share: of the card's peak; memory_mb: peak; agrees: with the CPU; any others
Row = dict[str, Any]
_COLUMNS = ("rate", "unit", "share", "memory_mb", "agrees")
_WIDTH = 34


@dataclass(frozen=True)
class Task:
    """What all parts of a run share.

    Attributes:
        device: of torch; ``cpu`` with ``quick`` is the smoke test.
        quick: whether sizes are as small as possible.
        end: when the minutes are over, in seconds of ``time.time``.
        peaks: of the card: TFLOP/s as ``bf16``, ``tf32``, ``fp32``; GB/s as ``copy``.
    """

    device: str
    quick: bool
    end: float
    peaks: dict[str, float] = field(default_factory=dict)

    @property
    def place(self) -> torch.device:
        return torch.device(self.device)

    def left(self) -> float:
        """Seconds until the end."""
        return self.end - time.time()

    def seconds(self, normal: float) -> float:
        """How long to measure a rate."""
        return 0.05 if self.quick else normal

    def share(self, per_second: float, peak: str) -> float | None:
        """Of the peak; ``per_second`` are FLOP, or bytes for ``copy``."""
        if not self.peaks.get(peak):
            return None
        return round(per_second / self.peaks[peak] / (1e9 if peak == "copy" else 1e12), 4)


class Skipped(Exception):  # noqa: N818
    """There is no row, for the reason given."""


class Measurement(NamedTuple):
    """A row to come.

    Attributes:
        name: of the row.
        seconds: that it takes, about; with fewer left it is not begun.
        work: measures it.
    """

    name: str
    seconds: float
    work: Callable[[], Row]


def measured(task: Task, part: str, measurements: Iterable[Measurement]) -> Iterator[tuple[str, Row]]:
    """The rows, one by one; an exception becomes the row ``failed``, in preparations that of the part."""
    rest = iter(measurements)
    while True:
        try:
            measurement = next(rest, None)
        except Exception as error:
            yield part, {"failed": reason_of(error)}
            return
        if measurement is None:
            return
        name, seconds, work = measurement
        if task.left() < (0 if task.quick else seconds):
            yield name, {"skipped": "the minutes are over"}
            continue
        try:
            row = work()
        except Skipped as reason:
            row = {"skipped": str(reason)}
        except Exception as error:
            row = {"failed": reason_of(error)}
        yield name, row
        gc.collect()
        if task.place.type == "cuda":
            torch.cuda.empty_cache()


def reason_of(error: BaseException) -> str:
    """An exception in one line."""
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text}"


def synchronise(device: torch.device) -> None:
    """Wait for a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def forget_peak(device: torch.device) -> None:
    """Count peak memory from here."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_mb(device: torch.device) -> float | None:
    """Peak memory of torch's tensors, MB; None on a CPU."""
    return round(torch.cuda.max_memory_allocated(device) / 1e6) if device.type == "cuda" else None


def calls_per_second(call: Callable[[], Any], device: torch.device, seconds: float) -> float:
    """Over all calls of so many seconds, at least two, after one that is not counted."""
    call()
    synchronise(device)
    began, count = time.perf_counter(), 0
    while count < 2 or time.perf_counter() - began < seconds:
        call()
        synchronise(device)
        count += 1
    return count / (time.perf_counter() - began)


def header() -> str:
    return f"{'':{_WIDTH}}{'rate':>10} {'unit':12}{'of peak':>8}{'peak MB':>9}{'agrees':>8}  more"


def line(name: str, row: Row) -> str:
    """A row as text."""
    for outcome in ("failed", "skipped"):
        if outcome in row:
            return f"{name:{_WIDTH}}{outcome}: {row[outcome]}"
    share = row.get("share")
    agrees = {True: "yes", False: "NO"}.get(row.get("agrees"), "")  # type: ignore[arg-type]
    memory = row.get("memory_mb")
    more = ", ".join(
        f"{key} {value}" for key, value in row.items() if key not in _COLUMNS and value is not None
    )
    return (
        f"{name:{_WIDTH}}{row.get('rate', '')!s:>10} {row.get('unit', ''):12}"
        f"{'' if share is None else format(share, '.1%'):>8}{'' if memory is None else memory!s:>9}"
        f"{agrees:>8}  {more}"
    ).rstrip()


def figures(rows: dict[str, Row]) -> dict[str, Any]:
    """All rows in one flat object: ``<name>: <column>`` to figure, the rate under its unit."""
    flat: dict[str, Any] = {}
    for name, row in rows.items():
        for key, value in row.items():
            if key == "rate":
                flat[f"{name}: {row.get('unit', key)}"] = value
            elif key != "unit" and value is not None:
                flat[f"{name}: {key}"] = value
    return flat
