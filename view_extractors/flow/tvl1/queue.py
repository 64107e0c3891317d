"""Pairs of pictures that wait for a GPU, of one or several videos: those that wait together are one batch."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from view_extractors.base import Pending
from view_extractors.flow.tvl1.on_gpu import Tvl1OnGpu


@dataclass(frozen=True)
class Request:
    """Neighbours of one video.

    Attributes:
        pictures: ``uint8`` (H, W), at least two.
        size: height and width of the stored flow.
        bound: px of the stored size that the largest byte stands for.
        stored: the result, ``uint8`` (T - 1, h, w, 2).
    """

    pictures: Sequence[np.ndarray]
    size: tuple[int, int]
    bound: float
    stored: Future[np.ndarray] = field(default_factory=Future)

    def fits(self, other: Request) -> bool:
        """Whether both can be in one batch."""
        same = (self.size, self.bound) == (other.size, other.bound)
        return same and self.pictures[0].shape == other.pictures[0].shape


class FlowQueue:
    """Computes flow in a thread of its own, which ends when nothing waits.

    A small batch leaves a GPU mostly idle. While a batch is computed, requests collect; the next batch
    consists of all that wait then, up to the number of pairs that the GPU takes at once. So batches are
    as large as the other stages of the extraction allow, and nothing waits for a batch to become full.
    A result does not depend on the batch that it was in.
    """

    def __init__(self, gpu: Tvl1OnGpu) -> None:
        self._gpu = gpu
        self._waiting: deque[Request] = deque()
        self._lock = threading.Lock()
        self._working = False

    def submit(self, pictures: Sequence[np.ndarray], size: tuple[int, int], bound: float) -> list[Pending]:
        """The stored flow ``uint8`` (h, w, 2) of each pair of neighbours, pending; see :class:`Request`."""
        request = Request(pictures, size, bound)
        with self._lock:
            self._waiting.append(request)
            if not self._working:
                self._working = True
                threading.Thread(target=self._work, name="flow").start()
        return [Pending(request.stored, index) for index in range(len(pictures) - 1)]

    def _work(self) -> None:
        """Compute batches while there are any."""
        while batch := self._first():
            try:
                batch += self._others(batch[0])
                pictures, begins = joined(batch)
                stored = self._gpu.stored(pictures, batch[0].size, batch[0].bound)
            except BaseException as error:
                for request in batch:
                    request.stored.set_exception(error)
            else:
                for request, begin in zip(batch, begins, strict=True):
                    request.stored.set_result(stored[begin : begin + len(request.pictures) - 1])

    def _first(self) -> list[Request]:
        """The request at the head of the queue; none: the thread ends."""
        with self._lock:
            self._working = bool(self._waiting)
            return [self._waiting.popleft()] if self._waiting else []

    def _others(self, first: Request) -> list[Request]:
        """The requests that follow and fit into one batch with the first one."""
        room = self._gpu.at_once(*first.pictures[0].shape) - len(first.pictures)
        found: list[Request] = []
        with self._lock:
            while self._waiting and self._waiting[0].fits(first) and len(self._waiting[0].pictures) <= room:
                room -= len(self._waiting[0].pictures)
                found.append(self._waiting.popleft())
        return found


def joined(batch: Sequence[Request]) -> tuple[list[np.ndarray], list[int]]:
    """The pictures of all requests in one sequence, and the index of each request's first picture.

    A request that goes on where the one before ends shares a picture with it. Between others is a pair of
    pictures that belongs to nobody.
    """
    pictures: list[np.ndarray] = []
    begins = []
    for request in batch:
        if pictures and pictures[-1] is request.pictures[0]:
            pictures.pop()
        begins.append(len(pictures))
        pictures += request.pictures
    return pictures, begins
