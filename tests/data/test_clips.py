from __future__ import annotations

from collections.abc import Callable
from typing import Any

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


def test_clips_of_one_video_are_drawn_independently(shards: dict[str, ShardSet]) -> None:
    dataset = ClipDataset(shards, list(LENGTHS), CLIP, Augmentation(), per_video=2)
    assert len(dataset) == len(LENGTHS)
    assert [dataset[0, number].video_id for number in range(6)] == [n for n in LENGTHS for _ in range(2)]
    pairs = [[indices_seen(dataset[e, n].views)["rgb"][0] for n in (0, 1)] for e in range(10)]
    assert sum(first != second for first, second in pairs) > 5
    assert len({first for first, _ in pairs}) > 3 < len({second for _, second in pairs})


def test_without_augmentation_clips_of_one_video_are_evenly_spaced(shards: dict[str, ShardSet]) -> None:
    dataset = ClipDataset(shards, list(LENGTHS), CLIP, None, per_video=2)
    room = 50 - clip_frames(50, CLIP, start=0)[-1] - 1
    for number, start in ((0, room // 4), (1, room * 3 // 4)):
        assert indices_seen(dataset[0, number].views)["rgb"] == clip_frames(50, CLIP, start).tolist()


def test_worker_processes_change_nothing(shards: dict[str, ShardSet]) -> None:
    dataset = ClipDataset(shards, list(LENGTHS), CLIP, Augmentation())
    keys = [[(2, 0), (2, 2)], [(2, 1)]]
    batches = [list(DataLoader(dataset, batch_sampler=keys, num_workers=workers)) for workers in (0, 1)]
    for here, there in zip(*batches, strict=True):
        assert here.video_id == there.video_id
        assert all(torch.equal(x, there.views[view]) for view, x in here.views.items())
    assert batches[0][0].views["pose"].shape == (2, 8, 17, 16, 16)


class Ramp(ShardSet):
    """Frames whose pixels tell where they are: 5 y in the first channel, 5 x in the second; all alike."""

    def read(self, video_id: str, indices: np.ndarray) -> np.ndarray:
        y, x = np.meshgrid(np.arange(24), np.arange(32), indexing="ij")
        frame = np.stack([5 * y, 5 * x], axis=-1).astype(np.uint8)
        return np.broadcast_to(frame, (len(indices), *frame.shape))


@pytest.fixture
def ramps(make_shards: Callable[..., ShardSet]) -> dict[str, ShardSet]:
    shards = {view: make_shards(view, {"v": 9}) for view in ("rgb", "mask", "pose")}
    return {view: Ramp([s.path for s in shard_set.shards]) for view, shard_set in shards.items()}


def drawn(ramps: dict[str, ShardSet], epochs: int, **settings: Any) -> list[dict[str, torch.Tensor]]:
    dataset = ClipDataset(ramps, ["v"], CLIP, Augmentation(**settings))
    return [dataset[epoch, 0].views for epoch in range(epochs)]


@pytest.mark.parametrize("resized_crop", [(), ("mask", "pose")])
def test_crops_are_independent_unless_shared(
    ramps: dict[str, ShardSet], resized_crop: tuple[str, ...]
) -> None:
    def same(shared_crop: bool) -> list[bool]:
        settings = {"shared_crop": shared_crop, "resized_crop": resized_crop, "crop_candidates": 1}
        return [torch.equal(item["mask"], item["pose"]) for item in drawn(ramps, 20, **settings)]

    assert all(same(True))
    assert sum(same(False)) < 10


@pytest.mark.parametrize("settings", [{}, {"shared_crop": True}, {"resized_crop": ("rgb", "mask", "pose")}])
def test_a_crop_is_the_same_for_all_frames_and_new_in_every_epoch(
    ramps: dict[str, ShardSet], settings: dict[str, Any]
) -> None:
    items = drawn(ramps, 20, **settings)
    for view in ramps:
        assert all(torch.equal(item[view], item[view][:1].expand_as(item[view])) for item in items)
        assert len({item[view].numpy().tobytes() for item in items}) > 10


def test_resized_crops_differ_in_size_and_shape(ramps: dict[str, ShardSet]) -> None:
    """A ramp of step 5 spans 5 (crop - 1) in a plain crop, and in a resized one what the crop spans."""
    heights, widths = [], []
    for item in drawn(ramps, 200, resized_crop=("rgb",)):
        assert item["rgb"].shape == (8, 2, 20, 20)
        first = item["rgb"][0].float()
        heights.append((first[0, -2, 9] - first[0, 1, 9]).item() / 5 * 20 / 17)  # 17 steps of 20
        widths.append((first[1, 9, -2] - first[1, 9, 1]).item() / 5 * 20 / 17)
        mask = item["mask"][0].float()
        assert (mask[0, -1, 0] - mask[0, 0, 0]).item() == 5 * 15
    areas = np.array(heights) * np.array(widths) / (24 * 32)
    aspects = np.array(widths) / np.array(heights)
    assert 0.45 < areas.min() < 0.6
    assert 0.9 < areas.max() < 1.1
    assert 0.7 < aspects.min() < 0.9
    assert 1.2 < aspects.max() < 1.5


def test_crops_of_sparse_views_are_the_fullest_of_several_or_just_random(ramps: dict[str, ShardSet]) -> None:
    """The ramp is brightest at its lower right, so the more crops are tried, the nearer they lie to it."""
    means = {}
    for candidates in (1, 3, 12):
        items = drawn(ramps, 200, crop_candidates=candidates)
        means[candidates] = {view: np.mean([i[view].float().mean() for i in items]) for view in ramps}
    for view in ("mask", "pose"):
        assert means[1][view] + 3 < means[3][view] < means[12][view] - 3
    assert abs(means[1]["rgb"] - means[12]["rgb"]) < 3


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
