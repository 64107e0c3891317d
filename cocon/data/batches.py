"""Groups clips into batches: a permutation per epoch, the same in every process."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
from torch.utils.data import Sampler

from cocon.data.clips import Key
from cocon.errors import DatasetError


def batches_per_epoch(videos: int, batch_size: int, size: int = 1) -> int:
    """Number of full batches of ``size`` processes from these videos.

    Raises:
        DatasetError: when there are too few videos for one.
    """
    if videos < batch_size * size:
        raise DatasetError(
            f"{videos} training videos do not fill one batch of {batch_size * size} clips",
            "lower pretraining.<stage>.batch_size, use fewer processes, or add videos",
        )
    return videos // (batch_size * size)


def steps_per_epoch(videos: int, batch_size: int, *, accumulate: int = 1, size: int = 1) -> int:
    """Steps of the optimiser in an epoch; the last takes what is left of ``accumulate`` batches.

    Raises:
        DatasetError: as :func:`batches_per_epoch`.
    """
    return math.ceil(batches_per_epoch(videos, batch_size, size) / accumulate)


class EpochBatches(Sampler[list[Key]]):
    """Batches of keys for :class:`~cocon.data.clips.ClipDataset`, a new random order in every epoch.

    Process r of W takes the r-th part of every batch of W * ``batch_size`` clips, so that W processes see
    what one process with batches of that size would see. The remainder is dropped for this epoch.

    With n clips per video an epoch has as many batches and clips as with one, of an n-th of the videos: n
    epochs in a row show every video once.

    Args:
        videos: number of videos.
        batch_size: clips per process.
        seed: seed of the order.
        rank: number of this process.
        size: number of processes.
        per_video: clips of a video in a batch, one after another; ``batch_size`` is a multiple of it.

    Attributes:
        epoch: which epoch to iterate over.
        first: batches to skip, because an interrupted run has already used them.
        steps: batches per epoch.

    Raises:
        DatasetError: when there are too few videos for one batch.
    """

    def __init__(
        self, videos: int, batch_size: int, *, seed: int, rank: int = 0, size: int = 1, per_video: int = 1
    ) -> None:
        self._videos = videos
        self._batch_size = batch_size
        self._seed = seed
        self._rank = rank
        self._size = size
        self._per_video = per_video
        self.epoch = 0
        self.first = 0
        self.steps = batches_per_epoch(videos, batch_size, size)

    def __len__(self) -> int:
        return self.steps - self.first

    def __iter__(self) -> Iterator[list[Key]]:
        pass_, part = divmod(self.epoch, self._per_video)
        order = np.random.default_rng([self._seed, pass_]).permutation(self._videos).tolist()
        share = self._batch_size // self._per_video
        for step in range(part * self.steps + self.first, (part + 1) * self.steps):
            begin = (step * self._size + self._rank) * share
            yield _keys(self.epoch, order[begin : begin + share], self._per_video)


def shares(videos: int, size: int) -> bool:
    """Whether each of ``size`` processes gets its own videos in :func:`fixed_batches`."""
    return videos >= size


def _keys(epoch: int, numbers: Iterable[int], per_video: int) -> list[Key]:
    """The clips of videos, those of one video one after another."""
    return [(epoch, number * per_video + part) for number in numbers for part in range(per_video)]


def fixed_batches(
    videos: int, batch_size: int, *, rank: int = 0, size: int = 1, per_video: int = 1
) -> list[list[Key]]:
    """Batches for validation: always the same, in the given order.

    A last, smaller batch is left out (the loss depends on the number of candidates), unless it is the only
    one: then every process takes an equal share of it. When there are fewer videos than processes, every
    process takes all of them, and each has to compute the loss separately (see :func:`shares`).
    """
    if not videos:
        return []
    if not shares(videos, size):
        rank, size = 0, 1
    share = min(batch_size // per_video, videos // size)
    count = videos // (share * size)
    starts = [(step * size + rank) * share for step in range(count)]
    return [_keys(0, range(begin, begin + share), per_video) for begin in starts]
