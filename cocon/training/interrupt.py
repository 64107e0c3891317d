"""Handles signals that stop a run: it finishes its step, saves its state and prints how to resume."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any

from cocon.errors import CoConError

#: SLURM can send SIGUSR1 some time before the limit
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class TrainingInterruptedError(CoConError):
    """A signal stopped the run; its state is saved."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h: try again


class StopRequest:
    """Whether a signal requests a stop, and which one."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def __bool__(self) -> bool:
        return self.signal is not None


@contextlib.contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Record the first signal instead of exiting; a second one has its usual effect."""
    request = StopRequest()
    previous: dict[signal.Signals, Any] = {}

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    def note(number: int, frame: FrameType | None) -> None:
        request.signal = signal.Signals(number)
        restore()

    for number in SIGNALS:
        previous[number] = signal.signal(number, note)
    try:
        yield request
    finally:
        restore()
