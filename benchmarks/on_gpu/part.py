"""One part of the table, in a process of its own: a fault on the GPU ends that process and no other.

    python -m benchmarks.on_gpu.part NAME TASK

``TASK`` is JSON, see :class:`benchmarks.on_gpu.rows.Task`. Every row is a line on the standard output.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from benchmarks.on_gpu.rows import Measurement, Row, Task, measured

_MARK = "row of benchmarks.gpu: "
#: by name, the most important first: module and function
PARTS = {
    "card": ("card", "measurements"),
    "tvl1": ("tvl1", "measurements"),
    "steps": ("steps", "measurements"),
    "shards": ("steps", "with_shards"),
    "features": ("features", "measurements"),
    "extraction": ("extraction", "measurements"),
    "networks": ("networks", "measurements"),
    "compile": ("steps", "compiled"),
    "graph": ("steps", "graphs"),
    "tuning": ("tuning", "measurements"),
}


def rows_of(name: str, task: Task) -> Iterator[tuple[str, Row]]:
    """The rows of a part, in this process."""
    module, function = PARTS[name]
    of_part: Callable[[Task], Iterable[Measurement]] = getattr(
        importlib.import_module(f"benchmarks.on_gpu.{module}"), function
    )
    yield from measured(task, name, of_part(task))


def in_a_process(name: str, task: Task) -> Iterator[tuple[str, Row]]:
    """The rows of a part, from a process that is stopped when the minutes are over.

    A process that fails adds a row, named after the part, with the last line of its standard error.
    """
    command = [sys.executable, "-m", "benchmarks.on_gpu.part", name, json.dumps(asdict(task))]
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    with tempfile.TemporaryFile("w+", errors="replace") as messages:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=messages,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,
        )
        late = threading.Event()

        def stop() -> None:
            late.set()
            _kill(process)

        timer = threading.Timer(max(1.0, task.left()), stop)
        timer.start()
        try:
            assert process.stdout is not None
            for text in process.stdout:
                if text.startswith(_MARK):
                    row_name, row = json.loads(text.removeprefix(_MARK))
                    yield row_name, row
            status = process.wait()
        finally:
            timer.cancel()
            _kill(process)
            process.wait()
        if late.is_set():
            yield name, {"skipped": "the minutes are over"}
        elif status:
            messages.seek(0)
            last = ([text.strip() for text in messages if text.strip()] or [""])[-1][:200]
            yield name, {"failed": f"exit status {status}: {last}"}


def _kill(process: subprocess.Popen[str]) -> None:
    """End a process and those that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def main() -> None:
    name, task = sys.argv[1:]
    for row in rows_of(name, Task(**json.loads(task))):
        print(_MARK + json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
