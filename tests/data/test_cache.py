from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pytest

from cocon.data import cache as module
from cocon.data.cache import FrameCache
from cocon.shards import ShardSet

BYTES = 6 * 24 * 32 * 3  # of one video below


def reads(cache: FrameCache, video_id: str, indices: list[int]) -> tuple[np.ndarray, list[list[int]]]:
    """The frames that the cache hands out, and which it decoded for that."""
    decoded = []
    original = ShardSet.read

    def spy(self: ShardSet, name: str, numbers: np.ndarray) -> np.ndarray:
        decoded.append(list(numbers))
        return original(self, name, numbers)

    with patch.object(ShardSet, "read", spy):
        frames, rows = cache.read("rgb", video_id, np.array(indices))
    return frames[rows], decoded


def test_a_video_is_decoded_once(make_shards: Callable[..., ShardSet]) -> None:
    cache = FrameCache({"rgb": make_shards("rgb", {"a": 6, "b": 6})}, BYTES)
    first, decoded = reads(cache, "a", [4, 1, 1])
    assert decoded == [[0, 1, 2, 3, 4, 5]]
    again, decoded = reads(cache, "a", [4, 1, 1])
    assert decoded == []
    np.testing.assert_array_equal(first, again)
    assert first[:, 0, 0, 0].tolist() == [20, 5, 5]


@pytest.mark.parametrize(("workers", "kept"), [(1, True), (2, True), (3, False)])
def test_workers_share_the_memory(
    make_shards: Callable[..., ShardSet], monkeypatch: pytest.MonkeyPatch, workers: int, kept: bool
) -> None:
    monkeypatch.setattr(module, "get_worker_info", lambda: SimpleNamespace(num_workers=workers))
    cache = FrameCache({"rgb": make_shards("rgb", {"a": 6})}, 2 * BYTES)
    reads(cache, "a", [0])
    assert (reads(cache, "a", [1])[1] == []) == kept


def test_beyond_the_limit_only_needed_frames_are_decoded(make_shards: Callable[..., ShardSet]) -> None:
    cache = FrameCache({"rgb": make_shards("rgb", {"a": 6, "b": 6})}, BYTES)
    reads(cache, "a", [0])
    for _ in range(2):
        frames, decoded = reads(cache, "b", [4, 1, 1])
        assert decoded == [[1, 4]]
        assert frames[:, 0, 0, 0].tolist() == [20, 5, 5]


def test_zero_bytes_keep_nothing(make_shards: Callable[..., ShardSet]) -> None:
    cache = FrameCache({"rgb": make_shards("rgb", {"a": 6})}, 0)
    assert [reads(cache, "a", [2])[1] for _ in range(2)] == [[[2]], [[2]]]
