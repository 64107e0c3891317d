"""Progress messages of programs, through :mod:`logging` on standard error.

Every module logs to the logger of its own name. Only a program shows messages, see :func:`of_command`; where
the library is imported, logging is left unchanged. Results are no messages: they are printed, by
:func:`cocon.terminal.say`, on standard output.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import multiprocessing
import platform
import shlex
import sys
from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import Any, NoReturn, TextIO

from cocon.terminal import printable, say

log = logging.getLogger(__name__)
_PACKAGES = ("cocon", "view_extractors")
_LEVEL = "message_level"  # among the parsed arguments


class Parser(argparse.ArgumentParser):
    """Arguments of a program or of a command, with ``-v`` and ``-q``, whose errors are printable."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        choice = self.add_argument_group("messages").add_mutually_exclusive_group()
        for names, level, text in (
            (("-v", "--verbose"), logging.DEBUG, "show details, with their time and module"),
            (("-q", "--quiet"), logging.WARNING, "show only warnings and errors, and no progress bar"),
        ):
            # Without a default, so that a command's parser leaves alone what stands before the command.
            choice.add_argument(
                *names, dest=_LEVEL, action="store_const", const=level, default=argparse.SUPPRESS, help=text
            )

    def error(self, message: str) -> NoReturn:
        """Print what is wrong with the arguments, and exit."""
        super().error(printable(message))


@contextlib.contextmanager
def of_command(options: argparse.Namespace, program: str, arguments: Sequence[str] | None) -> Iterator[None]:
    """Show the messages of a command while it runs; logging is afterwards what it was.

    Args:
        options: parsed by a :class:`Parser`.
        program: its name and version.
        arguments: those that were parsed; None: those of the process.
    """
    with _restored():
        set_up(getattr(options, _LEVEL, logging.INFO))
        line = shlex.join(sys.argv[1:] if arguments is None else arguments)
        log.debug("%s, Python %s: %s", program, platform.python_version(), line)
        began = perf_counter()
        yield
        log.debug("done in %.1f s", perf_counter() - began)


def set_up(level: int) -> None:
    """Show messages from a level of :mod:`logging` on, in this process.

    The root logger is unchanged and gets no messages: a package that configures it would show them twice.

    Args:
        level: of a program, or :func:`level` of the process that has started this one; NOTSET does nothing.
    """
    if level == logging.NOTSET:
        return
    for package in _PACKAGES:
        logger = logging.getLogger(package)
        logger.setLevel(level)
        logger.propagate = False
        if not any(isinstance(handler, _Handler) for handler in logger.handlers):
            logger.addHandler(_Handler())


def level() -> int:
    """From which level on this process shows messages; NOTSET where neither program nor user has set it."""
    return logging.getLogger(_PACKAGES[0]).level


def as_options() -> list[str]:
    """Arguments with which another program of this project shows as much as this one."""
    if level() > logging.INFO:
        return ["--quiet"]
    return ["--verbose"] if logging.NOTSET < level() <= logging.DEBUG else []


def has_bars() -> bool:
    """Whether to show progress bars: standard error is a terminal, and not only warnings are shown."""
    return level() <= logging.INFO and sys.stderr is not None and sys.stderr.isatty()


def report(logger: logging.Logger, text: str) -> None:
    """Log requested output at the level INFO.

    If logging is not configured, as in a notebook, Python would drop it: it is printed on standard error.
    """
    if level() != logging.NOTSET or logger.isEnabledFor(logging.INFO):
        logger.info("%s", text)
    else:
        _write(text)


class _Formatter(logging.Formatter):
    """Formats messages: warnings are marked, and details get a time and a module."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if record.levelno >= logging.INFO:
            return f"warning: {text}" if record.levelno == logging.WARNING else text
        parent = multiprocessing.parent_process()
        process = f" ({record.processName})" if parent is not None else ""
        return f"{self.formatTime(record, '%H:%M:%S')} {record.name}{process}: {text}"


class _Handler(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(_Formatter())

    def emit(self, record: logging.LogRecord) -> None:
        # An error of the stream is raised, as that of a result: a closed pipe ends the program.
        _write(self.format(record))


def _write(text: str) -> None:
    stream = sys.stderr
    if stream is not None:
        with _above_bars(stream):
            say(text, file=stream)


@contextlib.contextmanager
def _above_bars(stream: TextIO) -> Iterator[None]:
    """Hide tqdm's bars temporarily; a worker process has none, but may be a fork of one that has."""
    if "tqdm" not in sys.modules or multiprocessing.parent_process() is not None:
        yield
        return
    from tqdm import tqdm

    with tqdm.external_write_mode(file=stream):
        yield


@contextlib.contextmanager
def _restored() -> Iterator[None]:
    loggers = [logging.getLogger(package) for package in _PACKAGES]
    before = [(logger.level, logger.propagate, list(logger.handlers)) for logger in loggers]
    try:
        yield
    finally:
        for logger, (own, propagate, handlers) in zip(loggers, before, strict=True):
            logger.setLevel(own)
            logger.propagate, logger.handlers = propagate, handlers
