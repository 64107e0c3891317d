from __future__ import annotations

import pytest

from cocon.data.batches import EpochBatches, fixed_batches, shares, steps_per_epoch
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


@pytest.mark.parametrize("per_video", [2, 3])
def test_several_clips_of_a_video_are_as_many_clips_and_steps(per_video: int) -> None:
    """n epochs in a row show every video once, with n clips that lie side by side."""
    one, several = EpochBatches(27, 6, seed=0), EpochBatches(27, 6, seed=0, per_video=per_video)
    assert several.steps == one.steps == 4
    for round_ in range(2):
        videos = []
        for epoch in range(round_ * per_video, (round_ + 1) * per_video):
            several.epoch = epoch
            batches = list(several)
            assert [len(batch) for batch in batches] == [6] * 4
            clips = [number for batch in batches for _, number in batch]
            assert [clip % per_video for clip in clips] == list(range(per_video)) * (24 // per_video)
            first = [clip // per_video for clip in clips[::per_video]]
            assert first == [clip // per_video for clip in clips[per_video - 1 :: per_video]]
            videos += first
        assert len(videos) == len(set(videos)) == 24
    whole = list(several)
    several.first = 2
    assert list(several) == whole[2:]


def test_processes_share_whole_videos() -> None:
    one = list(EpochBatches(26, 12, seed=1, per_video=2))
    ranks = [list(EpochBatches(26, 4, seed=1, rank=rank, size=3, per_video=2)) for rank in range(3)]
    assert [[key for part in parts for key in part] for parts in zip(*ranks, strict=True)] == one


def test_fixed_batches_of_several_clips() -> None:
    assert fixed_batches(5, 4, per_video=2) == [
        [(0, 0), (0, 1), (0, 2), (0, 3)],
        [(0, 4), (0, 5), (0, 6), (0, 7)],
    ]
    assert fixed_batches(2, 2, rank=1, size=2, per_video=2) == [[(0, 2), (0, 3)]]


@pytest.mark.parametrize(
    ("videos", "batch", "accumulate", "size", "steps"),
    [
        (60, 8, 1, 1, 7),
        (64, 8, 1, 1, 8),
        (60, 8, 2, 1, 4),
        (60, 8, 1, 2, 3),
        (60, 8, 3, 2, 1),
        (8, 8, 4, 1, 1),
    ],
)
def test_steps_of_an_epoch(videos: int, batch: int, accumulate: int, size: int, steps: int) -> None:
    assert steps_per_epoch(videos, batch, accumulate=accumulate, size=size) == steps


def test_no_step_without_a_batch() -> None:
    with pytest.raises(DatasetError, match="15 training videos do not fill one batch of 16 clips"):
        steps_per_epoch(15, 8, size=2)
