"""Stages that work at the same time on one ordered stream: :func:`ahead` produces, :class:`Behind` consumes.

Both keep the order, hold a bounded number of items, pass errors to the caller's thread and leave no thread
running. With no room they start none: the same code then runs one stage after the other.
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


class Room:
    """Limits the sum of the weights of what is under way; a single item may be heavier than the limit."""

    def __init__(self, size: int) -> None:
        self._size, self._used = size, 0
        self._changed = threading.Condition()

    def take(self, weight: int) -> None:
        """Wait until there is room."""
        with self._changed:
            self._changed.wait_for(lambda: not self._used or self._used + weight <= self._size)
            self._used += weight

    def give_back(self, weight: int) -> None:
        """End what was begun by :meth:`take`."""
        with self._changed:
            self._used -= weight
            self._changed.notify_all()


class Behind(Generic[T]):
    """Calls ``consume`` for every item in a thread of its own, while items of up to ``room`` in weight wait.

    An error of ``consume`` is raised by the next :meth:`put`, or when the context is left; after it, items
    are dropped. Leaving the context, whether or not by an error, first consumes what was put.
    """

    def __init__(self, consume: Callable[[T], None], room: int) -> None:
        self._consume = consume
        self._waiting: SimpleQueue[Any] = SimpleQueue()
        self._room = Room(room)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="behind", daemon=True) if room else None

    def __enter__(self) -> Self:
        if self._thread:
            self._thread.start()
        return self

    def put(self, item: T, weight: int = 1) -> None:
        """Hand over an item; waits for room."""
        if self._thread is None:
            self._consume(item)
            return
        self._room.take(weight)
        if self._error is not None:
            raise self._error
        self._waiting.put((item, weight))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread:
            self._waiting.put((_END, 0))
            self._thread.join()
        if self._error is not None and error is None:
            raise self._error

    def _work(self) -> None:
        for item, weight in iter(self._waiting.get, (_END, 0)):
            try:
                if self._error is None:
                    self._consume(item)
            except BaseException as error:
                self._error = error
            finally:
                self._room.give_back(weight)
