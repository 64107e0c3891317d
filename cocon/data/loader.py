"""Loads batches in worker processes and turns failures of the workers into one error class."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate, default_convert, get_worker_info

from cocon import messages
from cocon.config.schema import Clip
from cocon.config.schema.training import Workers
from cocon.data.clips import Key
from cocon.data.crops import crop_size
from cocon.errors import CoConError
from cocon.views import VIEWS

log = logging.getLogger(__name__)
_SHARED_MEMORY = Path("/dev/shm")
_PREFETCHED = 2  # batches per worker
#: of a process, by default: as many load more clips than an H100 trains on (docs/benchmarks.md)
MOST_WORKERS = 16
_TOO_SMALL = re.compile(r"shared memory|Bus error|No space left|</torch_\w+>")
_DEAD = re.compile(r"DataLoader worker \(pid\(?s?\)? [\d, ]+\)(.*)")

ItemT = TypeVar("ItemT")


class WorkerError(CoConError):
    """A data worker ran out of memory or died."""


class Loader(Generic[ItemT]):
    """Loads the items of a data set for given keys in worker processes, in order.

    Args:
        dataset: the data set.
        batches: lists of keys, one collated batch each; None: single items, arrays as tensors.
        workers: processes that load; 0: this one.
        pin: put batches into pinned memory.
        once: the batches are loaded once: the workers end with them.
    """

    def __init__(
        self,
        dataset: Dataset[ItemT],
        batches: Iterable[list[Key]] | None = None,
        *,
        workers: int = 0,
        pin: bool = False,
        once: bool = False,
    ) -> None:
        collate = default_convert if batches is None else default_collate
        chosen: dict[str, Any] = {"batch_size": None} if batches is None else {"batch_sampler": batches}
        self._loader: DataLoader[Any] = DataLoader(
            _Careful(dataset),
            **chosen,
            collate_fn=_Collate(collate),
            num_workers=workers,
            persistent_workers=workers > 0 and batches is not None and not once,
            prefetch_factor=_PREFETCHED if workers else None,
            pin_memory=pin,
            worker_init_fn=functools.partial(_begin, messages.level()),
        )

    def __iter__(self) -> Iterator[ItemT]:
        """The batches or items.

        Raises:
            WorkerError: a worker ran out of shared memory or died.
            CoConError: errors of the data set, unchanged from a worker.
        """
        with workers_watched():
            for batch in self._loader:
                if isinstance(batch, _Failure):
                    raise batch.error
                yield batch


@contextlib.contextmanager
def workers_watched() -> Iterator[None]:
    """Turn PyTorch's errors about its workers, which may come at any moment, into :class:`WorkerError`."""
    try:
        yield
    except RuntimeError as error:
        # the cause of "exited unexpectedly" has the signal, if PyTorch records it
        text = "\n".join(str(part) for part in (error.__cause__, error) if part is not None)
        dead = _DEAD.search(text)
        if _TOO_SMALL.search(text):
            raise _shared_memory_error("there is too little shared memory for the workers") from error
        if dead is None:
            raise
        raise WorkerError(
            f"a process that loads data{dead[1].split('. ')[0].rstrip('. ')}",
            "the kernel may have killed it for lack of memory: reduce workers or cache_megabytes",
        ) from error


def number_of_workers(
    wanted: Workers, device: torch.device, item_bytes: int, *, at_most: bool = False
) -> int:
    """Processes that load data for a process that computes on a device.

    ``auto`` means as many as the process has threads on a GPU, but for the one that launches kernels, at most
    :data:`MOST_WORKERS`, and no more than shared memory suffices for; none on a CPU, whose threads compute.

    Args:
        wanted: from the settings.
        device: where the process computes.
        item_bytes: size of what a worker loads at a time.
        at_most: fewer than are wanted will do as well.

    Raises:
        WorkerError: what as many workers as are wanted load in advance does not fit into the free space of
            /dev/shm, and fewer will not do.
    """
    workers = _automatic(device) if wanted == "auto" else wanted
    if not workers or not _SHARED_MEMORY.is_dir():
        return workers
    each = item_bytes * _PREFETCHED * int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    status = os.statvfs(_SHARED_MEMORY)
    free = status.f_bavail * status.f_frsize
    if workers * each <= free:
        return workers
    message = (
        f"{workers} workers load up to {workers * each / 2**20:.0f} MiB in advance, "
        f"and {_SHARED_MEMORY} has {free / 2**20:.0f} MiB free"
    )
    if wanted != "auto" and not at_most:
        raise _shared_memory_error(message)
    fitting = int(free // each)
    log.warning("%s; %d are used. A container can have more (docker run --shm-size=8g)", message, fitting)
    return fitting


def _automatic(device: torch.device) -> int:
    return min(torch.get_num_threads() - 1, MOST_WORKERS) if device.type == "cuda" else 0


def clip_bytes(clip: Clip, views: Iterable[str]) -> int:
    """Bytes of a clip or window of these views, as it is loaded."""
    return clip.frames * sum(VIEWS[view].channels * crop_size(clip, view) ** 2 for view in views)


def _shared_memory_error(message: str) -> WorkerError:
    return WorkerError(
        message, "give the container more (docker run --shm-size=8g), or lower workers, to 0 if need be"
    )


def _begin(level: int, number: int) -> None:
    """Set the message level of a worker to its parent's; it may be a new interpreter."""
    messages.set_up(level)
    log.debug("worker %d is process %d", number, os.getpid())


class _Failure:
    """Stands for a batch that failed to load; PyTorch would turn the error's message into a traceback."""

    def __init__(self, error: CoConError) -> None:
        self.error = error


class _Careful(Dataset[Any]):
    """A data set that returns its errors."""

    def __init__(self, dataset: Dataset[Any]) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, key: Any) -> Any:
        try:
            return self.dataset[key]
        except CoConError as error:
            return _Failure(error)


class _Collate:
    """Collates, unless an item failed, and moves the result into shared memory.

    PyTorch would move it in a thread whose errors are lost, and the run would hang.
    """

    def __init__(self, collate: Callable[[Any], Any]) -> None:
        self.collate = collate

    def __call__(self, items: Any) -> Any:
        for item in items if isinstance(items, list) else [items]:
            if isinstance(item, _Failure):
                return item
        batch = self.collate(items)
        return batch if get_worker_info() is None else _shared(batch)


def _shared(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value if value.is_shared() else value.share_memory_()
    if isinstance(value, dict):
        return {key: _shared(item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(_shared, value))
    if isinstance(value, (list, tuple)):
        return type(value)(map(_shared, value))
    return value
