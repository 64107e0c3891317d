"""Several processes of one machine that train together: started, signalled and ended as one.

torchrun would kill them 30 s after a signal, before a large state is saved, and would hide their exit status
and their message behind its own.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import IO, Any

from cocon.errors import CoConError

log = logging.getLogger(__name__)

#: names the socket on which the first process waits for the others
LISTENER = "COCON_LISTENER"
#: exit status of a process that has lost contact with the others (EX_UNAVAILABLE of sysexits.h)
LOST = 69
#: seconds that the others have when one has failed or stopped
PATIENCE = 60.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
_HOST = "127.0.0.1"
_LOOK = 0.05
_SHOWN = 20_000
_PR_SET_PDEATHSIG = 1


def run_together(count: int, command: Sequence[str]) -> int:
    """Run a command as so many processes, with torchrun's variables in their environments.

    Every stop signal goes to all of them. The first one writes to this process's standard error; of the
    others, only the output of the first to fail is shown.

    Raises:
        CoConError: there is no such command.

    Returns:
        0 when all have ended well. Otherwise the exit status of the process that failed first, with 128
        added to the number of a signal; those that failed because it was gone do not count.
    """
    with _Group(count, command) as group:
        group.wait()
        return group.verdict()


class _Group:
    """The processes, in the order of their ranks.

    Attributes:
        ended: ranks in the order in which they ended without being killed.
    """

    def __init__(self, count: int, command: Sequence[str]) -> None:
        self._count, self._command = count, list(command)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._errors: list[IO[bytes]] = []
        self._stack = contextlib.ExitStack()
        self._stopped = False
        self.ended: list[int] = []

    def __enter__(self) -> _Group:
        with contextlib.ExitStack() as stack:
            stack.callback(self._kill)
            stack.enter_context(_handled(self._forward))
            listener = stack.enter_context(socket.create_server((_HOST, 0)))
            for rank in range(self._count):
                if not self._stopped:
                    self._start(rank, listener, stack)
            listener.close()  # it is the first process's now, and gone when that is gone
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self, rank: int, listener: socket.socket, stack: contextlib.ExitStack) -> None:
        variables = {
            **{"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": self._count, "LOCAL_WORLD_SIZE": self._count},
            **{"MASTER_ADDR": _HOST, "MASTER_PORT": listener.getsockname()[1], LISTENER: listener.fileno()},
        }
        errors = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 (the stack closes it)
        self._errors.append(errors)
        os.set_inheritable(listener.fileno(), rank == 0)
        try:
            process = subprocess.Popen(
                self._command,
                env=os.environ | {name: str(value) for name, value in variables.items()},
                stderr=errors if rank else None,
                close_fds=False,  # the GPUs are leased as long as one process has the locks open
                start_new_session=True,  # Ctrl-C comes once, from here
                preexec_fn=_end_with_parent,
            )
        except OSError as error:
            raise CoConError(f"'{self._command[0]}' cannot be run: {error.strerror}") from error
        log.debug("process %d of %d is %d: %s", rank, self._count, process.pid, shlex.join(self._command))
        self._processes.append(process)

    def _forward(self, number: int, frame: FrameType | None) -> None:
        self._stopped = True
        for process in self._processes:
            process.send_signal(number)

    def _kill(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    def wait(self) -> None:
        """Return when all have ended; if one fails, the others have a minute."""
        running = set(range(len(self._processes)))
        deadline = float("inf")
        while running:
            for rank in sorted(running):
                if (status := self._processes[rank].poll()) is not None:
                    running.remove(rank)
                    self.ended.append(rank)
                    if status:
                        deadline = min(deadline, time.monotonic() + PATIENCE)
            if time.monotonic() > deadline:
                return self._kill()
            time.sleep(_LOOK)
        return None

    def verdict(self) -> int:
        """The status of all, with a message where the first process has not written one itself."""
        failed = [rank for rank in self.ended if self._processes[rank].returncode]
        causes = [rank for rank in failed if self._processes[rank].returncode != LOST] or failed
        if not causes:
            return 0 if len(self._processes) == self._count else 128 + signal.SIGTERM
        rank = 0 if 0 in causes else causes[0]
        status: int = self._processes[rank].returncode
        if status < 0:
            name = signal.Signals(-status).name
            log.error("cocon launch: process %d of %d was ended by %s", rank, self._count, name)
            if status == -signal.SIGKILL:
                log.error("  hint: the kernel does this when memory runs out; look at `dmesg`")
        elif rank:
            log.error("cocon launch: process %d of %d ended with status %d:", rank, self._count, status)
        if rank:
            self._show(rank)
        return status if status > 0 else 128 - status

    def _show(self, rank: int) -> None:
        errors = self._errors[rank]
        errors.seek(max(0, errors.seek(0, os.SEEK_END) - _SHOWN))
        shutil.copyfileobj(errors, sys.stderr.buffer)
        sys.stderr.flush()


def _end_with_parent() -> None:
    """In a new process: receive a stop signal when the parent dies, for whatever reason."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@contextlib.contextmanager
def _handled(handler: Any) -> Iterator[None]:
    previous = {number: signal.signal(number, handler) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, old in previous.items():
            signal.signal(number, old)
