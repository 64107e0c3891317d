from __future__ import annotations

import pytest

from cocon.data.batches import EpochBatches, fixed_batches, shares
from cocon.errors import DatasetError


def test_every_video_at_most_once_per_epoch() -> None:
    batches = EpochBatches(23, 4, seed=0)
    orders = []
    for epoch in range(3):
        batches.epoch = epoch
        keys = [key for batch in batches for key in batch]
        assert {e for e, _ in keys} == {epoch}
        orders.append([number for _, number in keys])
        assert len(orders[-1]) == 20 == len(set(orders[-1])) == 4 * len(batches)
    assert orders[0] != orders[1] != orders[2]


def test_all_videos_come_in_time() -> None:
    batches = EpochBatches(7, 4, seed=0)
    seen = set()
    for epoch in range(20):
        batches.epoch = epoch
        seen |= {number for batch in batches for _, number in batch}
    assert seen == set(range(7))


def test_going_on_in_the_middle() -> None:
    batches = EpochBatches(23, 4, seed=0)
    whole = list(batches)
    batches.first = 2
    assert list(batches) == whole[2:]
    assert len(batches) == 3


def test_processes_share_the_batch_of_one() -> None:
    one = list(EpochBatches(26, 6, seed=1))
    ranks = [list(EpochBatches(26, 2, seed=1, rank=rank, size=3)) for rank in range(3)]
    assert [[key for part in parts for key in part] for parts in zip(*ranks, strict=True)] == one


def test_too_few_videos() -> None:
    with pytest.raises(DatasetError, match="7 training videos do not fill one batch of 8 clips") as error:
        EpochBatches(7, 4, seed=0, size=2)
    assert "batch_size" in error.value.hint


@pytest.mark.parametrize(
    ("videos", "size", "expected"),
    [(10, 1, [4, 4]), (3, 1, [3]), (10, 2, [4]), (7, 2, [3]), (0, 2, [])],
)
def test_fixed_batches(videos: int, size: int, expected: list[int]) -> None:
    ranks = [fixed_batches(videos, 4, rank=rank, size=size) for rank in range(size)]
    assert all([len(batch) for batch in batches] == expected for batches in ranks)
    numbers = [number for batches in ranks for batch in batches for _, number in batch]
    assert sorted(numbers) == list(range(len(numbers)))


@pytest.mark.parametrize(("videos", "expected"), [(1, [1]), (3, [3]), (6, [4]), (7, [4])])
def test_fewer_videos_than_processes_are_those_of_every_process(videos: int, expected: list[int]) -> None:
    ranks = [fixed_batches(videos, 4, rank=rank, size=8) for rank in range(8)]
    assert not shares(videos, 8)
    assert ranks == [fixed_batches(videos, 4)] * 8
    assert [len(batch) for batch in ranks[0]] == expected
