"""The processes of one machine, started, signalled and ended as one; tests/training has real trainings."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cocon.machine.process_group import LOST

#: what each process does, by its rank
BEGIN = "import os, signal, sys, time; rank = int(os.environ['RANK'])\n"
WAIT = "time.sleep(60)\n"


def start(body: str, count: int = 2, patience: float = 60) -> subprocess.Popen[str]:
    run = f"from cocon.machine import process_group as g; g.PATIENCE = {patience}\n"
    run += f"import sys; sys.exit(g.run_together({count}, [sys.executable, '-c', {BEGIN + body!r}]))"
    return subprocess.Popen(
        [sys.executable, "-c", run], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def run(body: str, count: int = 2, patience: float = 60) -> tuple[int, str]:
    """Exit status and standard error."""
    process = start(body, count, patience)
    errors = process.communicate(timeout=60)[1]
    return process.returncode, errors


def lines_of(process: subprocess.Popen[str], count: int) -> list[str]:
    assert process.stdout is not None
    return sorted(process.stdout.readline().strip() for _ in range(count))


def is_gone(number: str) -> bool:
    """Whether a process has ended; a zombie has."""
    try:
        return "\nState:\tZ" in Path(f"/proc/{number}/status").read_text()
    except FileNotFoundError:
        return True


def test_all_well_and_only_the_first_is_heard() -> None:
    assert run("print('hello of', rank, file=sys.stderr)", 3) == (0, "hello of 0\n")


def test_the_first_process_says_itself_what_is_wrong() -> None:
    assert run("print('no manifest', file=sys.stderr); sys.exit(2)", 3) == (2, "no manifest\n")


def test_another_one_that_fails_is_heard_and_those_that_miss_it_are_not_the_cause() -> None:
    body = f"""
if rank == 1: print('out of memory', file=sys.stderr); sys.exit(3)
time.sleep(.2); print('nobody there', file=sys.stderr); sys.exit({LOST})"""
    status, errors = run(body, 3)
    assert status == 3
    assert errors == "nobody there\ncocon launch: process 1 of 3 ended with status 3:\nout of memory\n"


def test_killed_by_the_kernel() -> None:
    status, errors = run(f"os.kill(os.getpid(), signal.SIGKILL) if rank else sys.exit({LOST})")
    assert status == 128 + signal.SIGKILL
    assert "process 1 of 2 was ended by SIGKILL\n  hint: the kernel does this when memory runs out" in errors


def test_one_that_waits_for_the_dead_in_vain_is_ended() -> None:
    began = time.monotonic()
    status, errors = run(f"sys.exit(5) if rank else {WAIT}", patience=0.2)
    assert (status, time.monotonic() - began < 30) == (5, True)
    assert "process 1 of 2 ended with status 5" in errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_signal_comes_to_all_and_75_arrives(number: signal.Signals) -> None:
    body = f"""
def stop(number, frame): os.write(1, f'{{rank}} {{number}}\\n'.encode()); sys.exit(75)
signal.signal({int(number)}, stop)
os.write(1, b'ready\\n')
{WAIT}"""
    process = start(body)
    assert lines_of(process, 2) == ["ready", "ready"]
    process.send_signal(number)
    assert lines_of(process, 2) == [f"0 {int(number)}", f"1 {int(number)}"]
    assert process.communicate(timeout=30)[1] == ""
    assert process.returncode == 75


@pytest.mark.skipif(sys.platform != "linux", reason="needs prctl")
def test_nobody_outlives_a_launcher_that_is_killed() -> None:
    process = start(f"os.write(1, f'{{os.getpid()}}\\n'.encode()); {WAIT}")
    numbers = lines_of(process, 2)
    process.kill()
    process.communicate(timeout=30)
    deadline = time.monotonic() + 30
    while not all(is_gone(number) for number in numbers):
        assert time.monotonic() < deadline, "still there"
        time.sleep(0.05)


def test_a_command_that_does_not_exist() -> None:
    line = [sys.executable, "-m", "cocon", "launch", "--processes", "2", "--", "no-such-command"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr == "cocon launch: 'no-such-command' cannot be run: No such file or directory\n"
