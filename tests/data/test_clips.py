from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from cocon.config.schema import Augmentation, Clip
from cocon.data.clips import ClipDataset, read_windows
from cocon.data.sampling import clip_frames, eval_windows
from cocon.errors import ConfigError, ShardError
from cocon.shards import ShardSet

STEP = 5
CLIP = Clip(
    blocks=4,
    frames_per_block=2,
    stride=3,
    predicted_blocks=1,
    crop={"rgb": 20, "flow": 20, "mask": 16, "pose": 16},
)
VIEWS = ("rgb", "flow", "mask", "pose")
LENGTHS = {"long": 50, "short": 12, "one": 1}


@pytest.fixture
def shards(make_shards: Callable[..., ShardSet]) -> dict[str, ShardSet]:
    return {view: make_shards(view, LENGTHS) for view in VIEWS}


def indices_seen(views: dict[str, torch.Tensor]) -> dict[str, list[int]]:
    """The frame numbers that the pixels of each view tell."""
    peaks = {view: x.to(torch.float32).amax((1, 2, 3)) for view, x in views.items()}
    return {view: (peak / STEP).round().int().tolist() for view, peak in peaks.items()}


@pytest.mark.parametrize("cache_bytes", [0, 100_000, 10**8])
@pytest.mark.parametrize("shared_crop", [False, True])
def test_views_show_the_same_frames(shards: dict[str, ShardSet], cache_bytes: int, shared_crop: bool) -> None:
    augmentation = Augmentation(shared_crop=shared_crop)
    dataset = ClipDataset(shards, list(LENGTHS), CLIP, augmentation, seed=3, cache_bytes=cache_bytes)
    starts = set()
    for epoch in range(8):
        for number in range(3):
            item = dataset[epoch, number]
            assert {view: x.shape[1:] for view, x in item.views.items()} == {
                "rgb": (3, 20, 20),
                "flow": (2, 20, 20),
                "mask": (1, 16, 16),
                "pose": (17, 16, 16),
            }
            seen = indices_seen(item.views)
            assert all(frames == seen["rgb"] for frames in seen.values()), seen
            start = seen["rgb"][0]
            assert seen["rgb"] == clip_frames(LENGTHS[item.video_id], CLIP, start).tolist()
            starts.add((number, start))
    assert len(starts) > 8


def test_an_item_depends_on_its_key_alone(shards: dict[str, ShardSet]) -> None:
    first = ClipDataset(shards, list(LENGTHS), CLIP, Augmentation(), cache_bytes=10**8)
    second = ClipDataset(shards, list(LENGTHS), CLIP, Augmentation())
    _ = second[4, 0]
    for view, x in first[5, 0].views.items():
        assert torch.equal(x, second[5, 0].views[view])
    third = ClipDataset(shards, list(LENGTHS), CLIP, Augmentation(), seed=1)
    seen = [[indices_seen(d[epoch, 0].views)["rgb"] for epoch in range(10)] for d in (first, third)]
    assert seen[0] != seen[1]


def test_without_augmentation_the_middle(shards: dict[str, ShardSet]) -> None:
    dataset = ClipDataset(shards, list(LENGTHS), CLIP, None)
    assert indices_seen(dataset[0, 0].views)["flow"] == clip_frames(50, CLIP).tolist()
    assert all(torch.equal(x, dataset[7, 0].views[view]) for view, x in dataset[0, 0].views.items())


def test_worker_processes_change_nothing(shards: dict[str, ShardSet]) -> None:
    dataset = ClipDataset(shards, list(LENGTHS), CLIP, Augmentation())
    keys = [[(2, 0), (2, 2)], [(2, 1)]]
    batches = [list(DataLoader(dataset, batch_sampler=keys, num_workers=workers)) for workers in (0, 1)]
    for here, there in zip(*batches, strict=True):
        assert here.video_id == there.video_id
        assert all(torch.equal(x, there.views[view]) for view, x in here.views.items())
    assert batches[0][0].views["pose"].shape == (2, 8, 17, 16, 16)


def test_crops_are_independent_unless_shared(make_shards: Callable[..., ShardSet]) -> None:
    """Views of equal size whose pixels all differ: the crop is found by its first pixel."""

    class Ramp(ShardSet):
        def read(self, video_id: str, indices: np.ndarray) -> np.ndarray:
            ramp = 10 * np.arange(24, dtype=np.uint8)[:, None] + np.arange(32, dtype=np.uint8)
            return np.broadcast_to(ramp[None, :, :, None], (len(indices), 24, 32, 1))

    shards = {view: make_shards(view, {"v": 9}) for view in ("mask", "pose")}
    ramps = {view: Ramp([s.path for s in shard_set.shards]) for view, shard_set in shards.items()}

    def same(shared_crop: bool) -> list[bool]:
        settings = Augmentation(shared_crop=shared_crop, crop_candidates=1)
        dataset = ClipDataset(ramps, ["v"], CLIP, settings)
        items = [dataset[epoch, 0].views for epoch in range(20)]
        return [torch.equal(item["mask"], item["pose"]) for item in items]

    assert all(same(True))
    assert sum(same(False)) < 10


def test_views_of_different_length(make_shards: Callable[..., ShardSet]) -> None:
    shards = {"rgb": make_shards("rgb", {"v": 9}), "flow": make_shards("flow", {"v": 8})}
    with pytest.raises(ShardError, match="differ in their number of frames"):
        ClipDataset(shards, ["v"], CLIP, None)


def test_stored_frames_too_small(make_shards: Callable[..., ShardSet]) -> None:
    shards = {"rgb": make_shards("rgb", {"v": 9}, height=18)}
    with pytest.raises(ConfigError, match="smaller than the crop of 20 px"):
        _ = ClipDataset(shards, ["v"], CLIP, Augmentation())[0, 0]


@pytest.mark.parametrize("video_id", list(LENGTHS))
@pytest.mark.parametrize("view", VIEWS)
def test_windows_of_a_whole_video(shards: dict[str, ShardSet], video_id: str, view: str) -> None:
    x_WTCHW = read_windows(shards[view], video_id, CLIP, view)
    expected = eval_windows(LENGTHS[video_id], CLIP)
    assert x_WTCHW.dtype == np.uint8
    assert x_WTCHW.shape[0] == len(expected)
    for x, window in zip(x_WTCHW, expected, strict=True):
        assert indices_seen({view: torch.from_numpy(x)})[view] == window.tolist()
