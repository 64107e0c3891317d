"""Stages that work at the same time on one ordered stream: :func:`ahead` produces, :class:`Behind` consumes.

Both keep the order, hold a bounded number of items, pass errors to the caller's thread and leave no thread
running. With a depth of 0 they start none: the same code then runs one stage after the other.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Generator, Iterator
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")

_END = object()


@contextlib.contextmanager
def ahead(items: Generator[T, None, None], depth: int) -> Iterator[Iterator[T]]:
    """Iterate over ``items`` in a thread of its own, while up to ``depth`` of them wait.

    An error of ``items`` is raised where the next item would have been taken. Leaving the context closes
    ``items``, after the item in progress.
    """
    if depth == 0:
        with contextlib.closing(items):
            yield items
        return
    made: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
    room = threading.Semaphore(depth)
    stopped = threading.Event()

    def produce() -> None:
        try:
            with contextlib.closing(items):
                for item in items:
                    room.acquire()
                    if stopped.is_set():
                        return
                    made.put((item, None))
            made.put((_END, None))
        except BaseException as error:
            made.put((_END, error))

    def consume() -> Iterator[T]:
        while True:
            item, error = made.get()
            if error is not None:
                raise error
            if item is _END:
                return
            room.release()
            yield item

    thread = threading.Thread(target=produce, name="ahead", daemon=True)
    thread.start()
    try:
        yield consume()
    finally:
        stopped.set()
        room.release()
        thread.join()


class Behind(Generic[T]):
    """Calls ``consume`` for every item in a thread of its own, while up to ``depth`` items wait.

    An error of ``consume`` is raised by the next :meth:`put`, or when the context is left; after it, items
    are dropped. Leaving the context, whether or not by an error, first consumes what was put.
    """

    def __init__(self, consume: Callable[[T], None], depth: int) -> None:
        self._consume = consume
        self._waiting: SimpleQueue[Any] = SimpleQueue()
        self._room = threading.Semaphore(depth)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="behind", daemon=True) if depth else None

    def __enter__(self) -> Self:
        if self._thread:
            self._thread.start()
        return self

    def put(self, item: T) -> None:
        """Hand over an item; waits for room."""
        if self._thread is None:
            self._consume(item)
            return
        self._room.acquire()
        if self._error is not None:
            raise self._error
        self._waiting.put(item)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread:
            self._waiting.put(_END)
            self._thread.join()
        if self._error is not None and error is None:
            raise self._error

    def _work(self) -> None:
        for item in iter(self._waiting.get, _END):
            try:
                if self._error is None:
                    self._consume(item)
            except BaseException as error:
                self._error = error
            finally:
                self._room.release()
