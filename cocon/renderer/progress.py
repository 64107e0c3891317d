"""Many clips rendered in parallel, with a bar or a few lines for the progress."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import as_completed
from typing import TypeVar

from cocon.messages import has_bars
from cocon.workers import worker_pool

log = logging.getLogger(__name__)
Task = TypeVar("Task")


def in_processes(make: Callable[[Task], str], tasks: Sequence[Task], processes: int) -> Iterator[str]:
    """The results of ``make`` for the tasks, in the order in which they are finished."""
    if processes <= 1 or len(tasks) <= 1:
        yield from map(make, tasks)
        return
    with worker_pool(min(processes, len(tasks))) as pool:
        for finished in as_completed([pool.submit(make, task) for task in tasks]):
            yield finished.result()


def progress_of(items: Iterable[str], count: int, total: int) -> Iterator[str]:
    """Pass items on; a bar on a terminal, about ten lines elsewhere."""
    if has_bars():
        from tqdm import tqdm

        yield from tqdm(
            items, "rendering clips", total, initial=total - count, unit=" clips", file=sys.stderr
        )
        return
    for number, item in enumerate(items, start=total - count + 1):
        if number == total or number % max(total // 10, 1) == 0:
            log.info("rendered %d of %d clips", number, total)
        yield item
