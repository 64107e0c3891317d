"""Workers whose shared memory is too small: a limit on the size of their files acts on it as well."""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from cocon.config.schema import Clip
from cocon.data import loader as module
from cocon.data.loader import Loader, WorkerError, clip_bytes, number_of_workers, workers_watched
from cocon.errors import ShardError

BATCHES = [[(0, 1), (0, 2)], [(0, 3), (0, 0)]]


class Item(NamedTuple):
    name: str
    values: Tensor
    rows: dict[str, list[Tensor]]


class Items(Dataset[Any]):
    """Items of 30 numbers, or what ``make`` does instead, in the worker."""

    def __init__(self, make: Callable[[int], Any] | None = None) -> None:
        self.make = make

    def __len__(self) -> int:
        return 4

    def __getitem__(self, key: Any) -> Any:
        number = key[1] if isinstance(key, tuple) else key
        if self.make is not None and (made := self.make(number)) is not None:
            return made
        values = torch.full((30,), number)
        return Item(str(number), values, {"rows": [values[:2]]})


def fail(number: int) -> None:
    if number == 3:
        raise ShardError("video 3 is damaged", "extract it again")


def limit(number: int) -> tuple[str, np.ndarray]:
    """An array of a megabyte in a worker that may have half of one."""
    assert get_worker_info() is not None
    sys.dont_write_bytecode = True  # a cut-off one would get its final name
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**19, resource.RLIM_INFINITY))
    return "large", np.zeros(2**20, np.uint8)


def take_all(make: Callable[[int], Any] | None, batches: Any, workers: int) -> list[Any]:
    return list(Loader(Items(make), batches, workers=workers))


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_in_their_order(workers: int) -> None:
    first, second = take_all(None, BATCHES, workers)
    assert type(first) is Item
    assert list(first.name) == ["1", "2"]
    assert second.values.tolist() == [[3] * 30, [0] * 30]
    assert second.rows["rows"][0].tolist() == [[3, 3], [0, 0]]
    assert [item[0] for item in take_all(None, None, workers)] == ["0", "1", "2", "3"]


@pytest.mark.parametrize("batches", [BATCHES, None])
@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_the_data_set_arrives_as_it_is(workers: int, batches: Any) -> None:
    with pytest.raises(ShardError) as error:
        take_all(fail, batches, workers)
    assert (error.value.message, error.value.hint) == ("video 3 is damaged", "extract it again")


@pytest.mark.parametrize("batches", [BATCHES, None])
def test_too_little_shared_memory(batches: Any) -> None:
    """Also where the worker's array would be moved there by a thread, whose error would be lost."""
    with pytest.raises(WorkerError, match="too little shared memory for the workers") as error:
        take_all(limit, batches, 1)
    assert "--shm-size" in error.value.hint
    assert "lower workers" in error.value.hint


def test_a_worker_that_was_killed() -> None:
    cause = RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. ")
    with pytest.raises(WorkerError) as error, workers_watched():
        raise RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly") from cause
    assert error.value.message == "a process that loads data is killed by signal: Killed"
    assert "lack of memory" in error.value.hint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that dataloader's "
            "workers are out of shared memory. Please try to raise your shared memory limit.",
            "too little shared memory",
        ),
        (
            "Caught RuntimeError in DataLoader worker process 0.\nTraceback ... RuntimeError: unable "
            "to allocate shared memory(shm) for file </torch_7_1_0>: No space left on device (28)",
            "too little shared memory",
        ),
        ("DataLoader worker (pid(s) 7, 8) exited unexpectedly", "loads data exited unexpectedly"),
    ],
)
def test_what_pytorch_says_in_the_midst_of_a_step(text: str, message: str) -> None:
    with pytest.raises(WorkerError, match=message), workers_watched():
        raise RuntimeError(text)


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match=r"^shapes differ$"), workers_watched():
        raise RuntimeError("shapes differ")


@pytest.mark.parametrize(("workers", "megabytes", "fits"), [(4, 64, False), (4, 4000, True), (0, 64, True)])
def test_said_before_anything_is_loaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, workers: int, megabytes: int, fits: bool
) -> None:
    """16 clips of 40 frames of 128 px in colour are 30 MiB; two batches per worker are loaded in advance."""
    size, cpu = 16 * clip_bytes(Clip(), ["rgb"]), torch.device("cpu")
    monkeypatch.setattr(module, "_SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_bavail=megabytes * 256, f_frsize=4096))
    if fits:
        assert number_of_workers(workers, cpu, size) == workers
        return
    with pytest.raises(WorkerError, match=r"load up to 240 MiB in advance, and \S+ has 64 MiB free"):
        number_of_workers(workers, cpu, size)
    assert number_of_workers(workers, cpu, size, at_most=True) == 1
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(WorkerError, match="load up to 480 MiB"):
        number_of_workers(workers, cpu, size)


@pytest.mark.parametrize("once", [True, False])
def test_workers_end_with_batches_that_are_loaded_once(once: bool) -> None:
    before = set(multiprocessing.active_children())
    loader = Loader(Items(), BATCHES, workers=2, once=once)
    assert len(list(loader)) == 2
    assert len(set(multiprocessing.active_children()) - before) == (0 if once else 2)


@pytest.mark.parametrize(
    ("device", "threads", "megabytes", "count"),
    [
        ("cpu", 8, 4000, 0),
        ("cuda", 1, 4000, 0),
        ("cuda", 8, 4000, 7),
        ("cuda", 64, 4000, 16),
        ("cuda", 8, 64, 1),
        ("cuda", 8, 32, 0),
    ],
)
def test_as_many_workers_as_there_are_threads_and_room_for(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
    caplog: pytest.LogCaptureFixture,
    device: str,
    threads: int,
    megabytes: int,
    count: int,
) -> None:
    monkeypatch.setattr(module, "_SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_bavail=megabytes * 256, f_frsize=4096))
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    size = 16 * clip_bytes(Clip(), ["rgb"])
    assert number_of_workers("auto", torch.device(device), size) == count
    reduced = [f"{megabytes} MiB free; {count} are used"] if megabytes < 100 else []
    assert [text for text in reduced if text not in caplog.text] == []
    assert len(caplog.records) == len(reduced)
