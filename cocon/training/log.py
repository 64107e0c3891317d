"""The output of a running training: averages, times, a progress bar or plain lines, rows of a log file."""

from __future__ import annotations

import json
import logging
import resource
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

import torch
from tqdm import tqdm

from cocon.files import write_text
from cocon.messages import has_bars

log = logging.getLogger(__name__)
Row = dict[str, Any]
ItemT = TypeVar("ItemT")
#: names of the figure that selects the best epoch, by view and as their mean
GROUP_KNN = "group_knn"
_RSS_PER_MIB = 2**20 if sys.platform == "darwin" else 2**10


class Averages:
    """Running means of named values over the steps of an epoch."""

    def __init__(self, sums: dict[str, float] | None = None, count: int = 0) -> None:
        self.sums = dict(sums or {})
        self.count = count

    def add(self, values: dict[str, float]) -> None:
        """Add the values of one step; every step must have the same names."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.count += 1

    def means(self) -> dict[str, float]:
        """The mean of every value."""
        return {name: total / self.count for name, total in self.sums.items()}


class Stopwatch:
    """A stopwatch: each :meth:`lap` returns the time since the last one."""

    def __init__(self) -> None:
        self._last = perf_counter()

    def start(self) -> None:
        """Restart, discarding the elapsed time."""
        self._last = perf_counter()

    def lap(self) -> float:
        """Seconds since the last lap."""
        now = perf_counter()
        seconds, self._last = now - self._last, now
        return seconds


class Timing:
    """Times an epoch: waiting for data and computing.

    Args:
        seconds: times of a part of the epoch that was done earlier.
    """

    def __init__(self, seconds: dict[str, float] | None = None) -> None:
        self.seconds = {"data": 0.0, "compute": 0.0} | (seconds or {})

    def add(self, data: float, compute: float) -> None:
        """Add the seconds of one step."""
        self.seconds["data"] += data
        self.seconds["compute"] += compute

    def row(self, clips: int, device: torch.device) -> Row:
        """Seconds, the share of waiting, clips per second, and the peak of memory so far in MiB.

        On a GPU the peak counts tensors, on a CPU the whole process.
        """
        data, compute = self.seconds["data"], self.seconds["compute"]
        total = max(data + compute, 1e-9)
        if device.type == "cuda":
            peak = torch.cuda.max_memory_allocated(device) / 2**20
        else:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _RSS_PER_MIB
        return {
            "data_seconds": data,
            "compute_seconds": compute,
            "data_share": data / total,
            "clips_per_second": clips / total,
            "peak_memory_mb": peak,
        }


class Reporter:
    """Reports progress: a bar per epoch on a terminal, and one message per epoch everywhere.

    Args:
        name: what is trained; starts every line.
        silent: print nothing (every process but the first).
    """

    def __init__(self, name: str, *, silent: bool = False) -> None:
        self.name = name
        self._silent = silent
        self._has_bar = not silent and has_bars()
        self._bar: tqdm[Any] | None = None
        self._warned: set[str] = set()

    def say(self, text: str) -> None:
        """Print one line."""
        if not self._silent:
            log.info("%s: %s", self.name, text)

    def warn(self, text: str) -> None:
        """Print a warning, once."""
        if not self._silent and text not in self._warned:
            self._warned.add(text)
            log.warning("%s: %s", self.name, text)

    def steps(
        self, items: Iterable[ItemT], epoch: int, epochs: int, done: int, total: int
    ) -> Iterator[ItemT]:
        """Yield the batches of an epoch (counted from 0, of ``epochs``) and advance the bar."""
        title = f"{self.name} epoch {epoch + 1}/{epochs}"
        self._bar = tqdm(
            items, title, total, initial=done, leave=False, disable=not self._has_bar, file=sys.stderr
        )
        yield from self._bar

    def step(self, loss: float) -> None:
        """Show the loss at the end of the bar."""
        if self._bar is not None:
            self._bar.set_postfix(loss=f"{loss:.3f}", refresh=False)

    def epoch(self, row: Row, epochs: int) -> None:
        """Print the line of a finished epoch, or of the measurements before the first."""
        parts = [f"epoch {row['epoch']}/{epochs}"]
        parts += [
            f"{name} {row[key]:.3f}"
            for name, key in (("loss", "loss"), ("validation", "validation/loss"))
            if key in row
        ]
        for name, title in (("linear", "linear"), ("knn", "knn"), (GROUP_KNN, "knn of other groups")):
            if found := [f"{key.split('/')[1]} {row[key]:.0%}" for key in row if key.startswith(f"{name}/")]:
                parts.append(f"{title} {' '.join(found)}")
        parts += [f"{key.split('/')[1]} {row[key]:.0%}" for key in row if key.startswith("accuracy/")]
        if "data_seconds" in row:
            parts.append(f"data {row['data_seconds']:.1f} s, compute {row['compute_seconds']:.1f} s")
        self.say(", ".join(parts))


def write_log(path: Path, rows: list[Row]) -> None:
    """Write one JSON object per line, atomically."""
    write_text(path, "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows))


def read_log(path: Path) -> list[Row]:
    """Read what :func:`write_log` wrote."""
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
