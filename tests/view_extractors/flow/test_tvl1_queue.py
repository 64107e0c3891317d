"""Requests that wait for a GPU together are one batch, whatever video they belong to."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pytest

from view_extractors.base import Pending, finished
from view_extractors.flow.tvl1.queue import FlowQueue, Request, joined

SIZE, BOUND = (2, 3), 5.0


class Gpu:
    """In the GPU's place: the flow of a pair is the sum of the pictures' numbers; it waits to be released."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.begun, self.go_on = threading.Semaphore(0), threading.Semaphore(0)
        self.most = 100
        self.error: Exception | None = None

    def at_once(self, height: int, width: int) -> int:
        return self.most

    def stored(self, pictures: Sequence[np.ndarray], size: tuple[int, int], bound: float) -> np.ndarray:
        self.begun.release()
        assert self.go_on.acquire(timeout=10)
        numbers = [int(picture[0, 0]) for picture in pictures]
        self.batches.append(numbers)
        if self.error:
            raise self.error
        return np.stack([np.full((*size, 2), a + b, np.uint8) for a, b in pairwise(numbers)])


@pytest.fixture
def gpu() -> Iterator[Gpu]:
    gpu = Gpu()
    yield gpu
    gpu.go_on.release(100)


def pictures(*numbers: int, shape: tuple[int, int] = (4, 6)) -> list[np.ndarray]:
    return [np.full(shape, number, np.uint8) for number in numbers]


def busy(gpu: Gpu) -> FlowQueue:
    """A queue whose GPU is in the middle of a batch."""
    queue = FlowQueue(gpu)  # type: ignore[arg-type]
    queue.submit(pictures(0, 0), SIZE, BOUND)
    assert gpu.begun.acquire(timeout=10)
    return queue


def values(results: list[Pending]) -> list[int]:
    found = finished(results)
    assert all(flow.shape == (*SIZE, 2) for flow in found)
    return [int(flow.max()) for flow in found]


def test_requests_collect_while_the_gpu_is_busy(gpu: Gpu) -> None:
    """Neighbouring requests of a video share a picture; between two videos is a pair of nobody."""
    queue = busy(gpu)
    video = pictures(1, 2, 3, 4)
    requests = [video[:2], video[1:], pictures(10, 20)]
    results = [queue.submit(request, SIZE, BOUND) for request in requests]
    gpu.go_on.release(2)
    assert [values(result) for result in results] == [[3], [5, 7], [30]]
    assert gpu.batches == [[0, 0], [1, 2, 3, 4, 10, 20]]


@pytest.mark.parametrize(
    ("shape", "size", "bound"), [((6, 4), SIZE, BOUND), ((4, 6), (3, 2), BOUND), ((4, 6), SIZE, 6.0)]
)
def test_a_batch_has_one_kind(gpu: Gpu, shape: tuple[int, int], size: tuple[int, int], bound: float) -> None:
    queue = busy(gpu)
    kinds = [((4, 6), SIZE, BOUND), (shape, size, bound), ((4, 6), SIZE, BOUND)]
    results = [
        queue.submit(pictures(number, number, shape=shape), size, bound)
        for number, (shape, size, bound) in enumerate(kinds, 1)
    ]
    gpu.go_on.release(4)
    assert [int(flow.max()) for result in results for flow in finished(result)] == [2, 4, 6]
    assert gpu.batches == [[0, 0], [1, 1], [2, 2], [3, 3]]


def test_a_batch_is_no_larger_than_fits_but_for_a_single_request(gpu: Gpu) -> None:
    queue, gpu.most = busy(gpu), 5
    requests = [(1, 2), (3, 4, 5), (6, 7), tuple(range(10, 18)), (8, 9)]
    results = [queue.submit(pictures(*numbers), SIZE, BOUND) for numbers in requests]
    gpu.go_on.release(5)
    assert [values(result)[0] for result in results] == [3, 7, 13, 21, 17]
    assert [len(numbers) for numbers in gpu.batches] == [2, 5, 2, 8, 2]


def test_an_error_reaches_everyone_in_its_batch_and_nobody_else(gpu: Gpu) -> None:
    queue, gpu.error = busy(gpu), ArithmeticError("no flow")
    failing = [queue.submit(pictures(number, number), SIZE, BOUND) for number in (1, 2)]
    gpu.go_on.release(2)
    for result in failing:
        with pytest.raises(ArithmeticError, match="no flow"):
            finished(result)
    gpu.error = None
    gpu.go_on.release()
    assert values(queue.submit(pictures(3, 4), SIZE, BOUND)) == [7]


def test_an_error_of_any_kind_leaves_nobody_waiting(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(height: int, width: int) -> int:
        raise RuntimeError("the device is gone")

    monkeypatch.setattr(gpu, "at_once", fails)
    queue = FlowQueue(gpu)  # type: ignore[arg-type]
    for _ in range(2):
        with pytest.raises(RuntimeError, match="the device is gone"):
            finished(queue.submit(pictures(1, 2), SIZE, BOUND))


def test_only_the_same_picture_is_shared() -> None:
    same, other = pictures(1, 2), pictures(2, 3)
    found, begins = joined([Request(same, SIZE, BOUND), Request(other, SIZE, BOUND)])
    assert ([int(picture[0, 0]) for picture in found], begins) == ([1, 2, 2, 3], [0, 2])


def test_its_thread_ends_when_nothing_waits(gpu: Gpu) -> None:
    queue = FlowQueue(gpu)  # type: ignore[arg-type]
    for _ in range(2):
        result = queue.submit(pictures(1, 2), SIZE, BOUND)
        (thread,) = [each for each in threading.enumerate() if each.name == "flow"]
        gpu.go_on.release()
        assert values(result) == [3]
        thread.join(timeout=10)
        assert not thread.is_alive()
