from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cocon.workers import worker_pool

ROOT = Path(__file__).parents[1]
SLEEPERS = """
import os, sys, time
from concurrent.futures import as_completed
from pathlib import Path
from cocon.boundary import run
from cocon.workers import worker_pool

def sleep(folder):
    Path(folder, str(os.getpid())).touch()
    time.sleep(60)

def command():
    with worker_pool(2) as pool:
        for finished in as_completed([pool.submit(sleep, sys.argv[1]) for _ in range(8)]):
            finished.result()

if __name__ == "__main__":
    sys.exit(run(command, "test"))
"""


@pytest.mark.parametrize(
    ("number", "status", "told"),
    [
        (signal.SIGINT, 130, "stopped by Ctrl-C\n"),
        (signal.SIGTERM, 143, "stopped by SIGTERM\n"),
        (signal.SIGKILL, -9, None),
    ],
)
def test_workers_end_with_the_command(
    number: signal.Signals, status: int, told: str | None, tmp_path: Path
) -> None:
    (tmp_path / "sleepers.py").write_text(SLEEPERS)
    (tmp_path / "pids").mkdir()
    command = [sys.executable, str(tmp_path / "sleepers.py"), str(tmp_path / "pids")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    ) as process:
        while len(pids := os.listdir(tmp_path / "pids")) < 2:
            assert process.poll() is None
            time.sleep(0.02)
        if number == signal.SIGINT:  # as a terminal does: to all processes
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        _, error = process.communicate(timeout=30)
    assert process.returncode == status
    assert told is None or error == told
    deadline = time.monotonic() + 20
    while any(_lives(int(pid)) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(_lives(int(pid)) for pid in pids)


def _lives(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    try:
        return status.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_results_come_back() -> None:
    with worker_pool(1) as pool:
        assert list(pool.map(abs, [-1, 2])) == [1, 2]
