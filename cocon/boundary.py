"""Runs commands: turns errors into a message and an exit status, and signals into an orderly exit."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import select
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import TextIO

from cocon.errors import CoConError
from cocon.files import no_room
from cocon.installation import missing_package
from cocon.terminal import STDOUT, flush, say

#: for the end of a command's help; the same for all commands
EXIT_STATUS = """exit status:
  0    done
  1    a bug, with a traceback; finished work is kept
  2    an error that you can fix; the message says how
  3    done, except for some videos, which are listed (`cocon embed`)
  75   a training was stopped by a signal, its state is saved; the same command resumes it
  130  stopped by Ctrl-C
  141  the reader of the output has closed the pipe (`| head`)
  143  stopped by SIGTERM
"""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_HINTS = {
    errno.ENOSPC: "free some space, or write to another disk, and run it again",
    errno.EDQUOT: "free some of your quota, or write to another disk, and run it again",
    errno.EFBIG: "raise the file-size limit (`ulimit -f`), or write to another disk, and run it again",
    errno.EROFS: "write to a disk that is not read-only",
    errno.EACCES: "change its permissions, or use another file",
    errno.EPERM: "change its permissions, or use another file",
    errno.EMFILE: "raise the limit of open files (`ulimit -n`)",
    errno.ENOMEM: "use smaller batches, fewer workers, or a machine with more memory",
    errno.EIO: "check the disk, or the connection to it",
    errno.ESTALE: "look at the connection to the file server",
}
#: of torch, whose CPU allocator has no error of its own
_NO_MEMORY = re.compile(r"DefaultCPUAllocator: (can't allocate|not enough) memory")


class Stopped(KeyboardInterrupt):
    """A signal stopped the command."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.signal = signal.Signals(number)


def run(command: Callable[[], object], prefix: str, *, goes_on: str = "") -> int:
    """Run a command and return its exit status, see :data:`EXIT_STATUS`; other exceptions are bugs and
    propagate.

    Args:
        command: the function to run.
        prefix: begins the line about an error, for instance ``cocon index``.
        goes_on: appended to the line about a signal: how to resume.
    """
    sys.excepthook = _show_traceback
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with _signals_stop():
            try:
                command()
            finally:  # now, not at interpreter exit, where an error cannot be handled
                flush()
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _close_unread():
            return 128 + signal.SIGPIPE
        told = explain(error)
        if told is None:
            raise
        if sys.stdout is not None and isinstance(error, OSError) and error.filename == STDOUT:
            _discard(sys.stdout)
        notes = getattr(error, "__notes__", [])
        _complain("\n  ".join([f"{prefix}: {told}", *notes]))
        return told.exit_code
    except KeyboardInterrupt as stop:
        number = stop.signal if isinstance(stop, Stopped) else signal.SIGINT
        name = "Ctrl-C" if number == signal.SIGINT else number.name
        _complain(f"stopped by {name}" + (f"; {goes_on}" if goes_on else ""))
        return 128 + number
    return 0


def explain(error: BaseException) -> CoConError | None:
    """The error for users; None when it is a bug."""
    if isinstance(error, CoConError):
        return error
    if isinstance(error, ModuleNotFoundError):
        return missing_package(error)
    if _is_out_of_memory(error):
        return CoConError("not enough memory", _HINTS[errno.ENOMEM])
    number = no_room(error)
    if number:
        return CoConError(f"{_name_of_full(error)} cannot be written: {os.strerror(number)}", _HINTS[number])
    if isinstance(error, OSError) and (error.filename is not None or error.errno in _HINTS):
        reason = error.strerror or str(error)
        return CoConError(f"{_name(error)}: {reason}", _HINTS.get(error.errno or 0, ""))
    return None


def _name_of_full(error: BaseException | None) -> str:
    """The file that did not fit, from the error or its causes: closing a file fails again."""
    while error is not None:
        if isinstance(error, OSError) and error.filename is not None and no_room(error):
            return _name(error)
        error = error.__cause__ or error.__context__
    return "a file"


def _name(error: OSError) -> str:
    if error.filename is None:
        return "a file"
    name = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else str(error.filename)
    second = f" -> {error.filename2}" if error.filename2 is not None else ""
    return name + second


def _is_out_of_memory(error: BaseException) -> bool:
    of_gpu = getattr(sys.modules.get("torch"), "OutOfMemoryError", MemoryError)
    if isinstance(error, (MemoryError, of_gpu)):
        return True
    return isinstance(error, RuntimeError) and bool(_NO_MEMORY.search(str(error)))


@contextlib.contextmanager
def _signals_stop() -> Iterator[None]:
    """Ctrl-C and SIGTERM raise :class:`Stopped` in the main thread; a second one stops at once.

    A signal that is ignored, as by nohup or in the background of a shell, stays ignored.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(number)

    previous = {}
    if threading.current_thread() is threading.main_thread():
        heard = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        previous = {number: signal.signal(number, stop) for number in heard}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _show_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    _complain("".join(traceback.format_exception(kind, error, trace)).rstrip())


def _complain(text: str) -> None:
    try:
        say(text, file=sys.stderr)
    except OSError:
        _discard(sys.stderr)


def _close_unread() -> bool:
    """Whether the readers of standard output or error are gone; pending output is dropped."""
    gone = [stream for stream in (sys.stdout, sys.stderr) if stream is not None and _is_unread(stream)]
    for stream in gone:
        _discard(stream)
    return bool(gone)


def _is_unread(stream: TextIO) -> bool:
    with contextlib.suppress(OSError, ValueError):
        poll = select.poll()
        poll.register(stream.fileno(), select.POLLOUT)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    return False


def _discard(stream: TextIO) -> None:
    """Discard the rest of a stream, so that flushing it at interpreter exit raises no error."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
