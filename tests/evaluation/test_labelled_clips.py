from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cocon.config.schema import Clip
from cocon.data.augmentation import by_operations
from cocon.data.network_input import to_network_input
from cocon.evaluation import labelled_clips
from cocon.evaluation.labelled_clips import LabelledClips, _resized_crop, augment_clips
from cocon.shards import ShardSet
from cocon.views import COCO_KEYPOINTS, VIEWS

CLIP = Clip(blocks=2, frames_per_block=2, stride=1, predicted_blocks=1, crop={"mask": 16, "rgb": 16})
LABELS = {"run/train0": 1, "walk/train3": 2}


def _clips(striped: Path, seed: int = 0, cache_bytes: int = 2**20) -> LabelledClips:
    shards = ShardSet.of_folder(striped / "shards" / "mask")
    return LabelledClips(shards, LABELS, CLIP, seed=seed, cache_bytes=cache_bytes)


def test_item_follows_from_seed_and_key_alone(striped: Path) -> None:
    first, again, uncached = _clips(striped), _clips(striped), _clips(striped, cache_bytes=0)
    again[5, 1]
    video, frames, label = first[2, 0]
    assert (video, label, frames.dtype, frames.shape) == ("run/train0", 1, torch.uint8, (4, 1, 16, 16))
    for other in (again[2, 0], uncached[2, 0]):
        torch.testing.assert_close(other.frames, frames, rtol=0, atol=0)
    assert not torch.equal(first[3, 0].frames, frames)
    assert not torch.equal(_clips(striped, seed=1)[2, 0].frames, frames)


def test_crop_keeps_within_area_and_is_the_same_for_all_frames() -> None:
    rows, columns = np.meshgrid(np.arange(60), np.arange(80), indexing="ij")
    frame_HWC = np.stack([2 * rows, 2 * columns], axis=-1).astype(np.uint8)
    frames = np.stack([frame_HWC] * 3)
    areas, aspects = [], []
    for seed in range(200):
        crop = _resized_crop(frames, np.array([0, 1, 1]), 32, np.random.default_rng(seed))
        assert crop.shape == (3, 2, 32, 32)
        assert torch.equal(crop[0], crop[2])
        # From the first to the last row or column lie 31 / 32 of the crop.
        height = (crop[0, 0, -1, 16].item() - crop[0, 0, 0, 16].item()) / 2 * 32 / 31
        width = (crop[0, 1, 16, -1].item() - crop[0, 1, 16, 0].item()) / 2 * 32 / 31
        areas.append(height * width / 4800)
        aspects.append(width / height)
    assert 0.45 < min(areas) < 0.6
    assert 0.85 < max(areas) < 1.05
    assert 0.7 < min(aspects) < 0.85
    assert 1.2 < max(aspects) < 1.45


@pytest.mark.parametrize("channels", [1, 2, 3, 17])
def test_all_views_can_be_resized(channels: int) -> None:
    frames = np.full((4, 20, 30, channels), 77, np.uint8)
    crop = _resized_crop(frames, np.arange(4), 16, np.random.default_rng(0))
    assert torch.equal(crop, torch.full((4, channels, 16, 16), 77, dtype=torch.uint8))


def _still(batch: int, channels: int) -> torch.Tensor:
    picture = torch.randint(256, (batch, 1, channels, 16, 16), generator=torch.Generator().manual_seed(0))
    return picture.expand(-1, 4, -1, -1, -1).to(torch.uint8)


def test_without_jitter_a_clip_is_itself_or_mirrored() -> None:
    x = _still(40, 3)
    plain = to_network_input(x, "rgb", CLIP)
    y = augment_clips(x, "rgb", CLIP, 0.0, torch.Generator().manual_seed(1))
    flipped = [torch.allclose(b, a.flip(-1)) for a, b in zip(plain, y, strict=True)]
    same = [torch.allclose(b, a) for a, b in zip(plain, y, strict=True)]
    assert all(a != b for a, b in zip(flipped, same, strict=True))
    assert 10 < sum(flipped) < 30


def test_jitter_changes_some_clips_and_all_their_frames_alike() -> None:
    x = _still(60, 3)
    before = augment_clips(x, "rgb", CLIP, 0.0, torch.Generator().manual_seed(1))
    after = augment_clips(x, "rgb", CLIP, 0.3, torch.Generator().manual_seed(1))
    changed = [not torch.allclose(a, b) for a, b in zip(before, after, strict=True)]
    assert 8 < sum(changed) < 30
    torch.testing.assert_close(after[:, 0, :, 0], after[:, 1, :, 1])


def test_other_views_have_no_colours() -> None:
    x = _still(10, 1)
    y = augment_clips(x, "mask", CLIP, 1.0, torch.Generator().manual_seed(1))
    plain = to_network_input(x, "mask", CLIP)
    for a, b in zip(plain, y, strict=True):
        assert torch.allclose(a, b) or torch.allclose(a.flip(-1), b)


def test_mirrored_flow_turns_u_round_and_nothing_else() -> None:
    x = _still(40, 2)
    plain = to_network_input(x, "flow", CLIP)
    y = augment_clips(x, "flow", CLIP, 1.0, torch.Generator().manual_seed(1))
    mirrored = plain.flip(-1) * torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1)
    flipped = [torch.allclose(b, a, atol=1e-5) for a, b in zip(mirrored, y, strict=True)]
    same = [torch.allclose(b, a, atol=1e-5) for a, b in zip(plain, y, strict=True)]
    assert all(a != b for a, b in zip(flipped, same, strict=True))
    assert 10 < sum(flipped) < 30


def test_mirrored_pose_exchanges_left_and_right() -> None:
    x = _still(40, 17)
    plain = to_network_input(x, "pose", CLIP)
    y = augment_clips(x, "pose", CLIP, 1.0, torch.Generator().manual_seed(1))
    left, right = COCO_KEYPOINTS.index("left_wrist"), COCO_KEYPOINTS.index("right_wrist")
    flipped = [not torch.allclose(b, a) for a, b in zip(plain, y, strict=True)]
    assert 10 < sum(flipped) < 30
    for before, after in zip(plain[flipped], y[flipped], strict=True):
        torch.testing.assert_close(after[:, left], before[:, right].flip(-1))
        torch.testing.assert_close(after[:, right], before[:, left].flip(-1))
        torch.testing.assert_close(after[:, 0], before[:, 0].flip(-1))


@pytest.mark.parametrize("view", ["rgb", "flow"])
@pytest.mark.parametrize("jitter", [0.0, 0.5])
def test_on_a_gpu_kernels_do_the_same(view: str, jitter: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """They take numbers per frame; operations of torch stand in for them."""
    x = torch.randint(256, (6, CLIP.frames, VIEWS[view].channels, 6, 5), dtype=torch.uint8)
    wanted = augment_clips(x, view, CLIP, jitter, torch.Generator().manual_seed(3))
    calls: list[str] = []

    def kernels(x: torch.Tensor, view: str, draws: dict[str, torch.Tensor], clip: Clip) -> torch.Tensor:
        calls.append(view)
        return by_operations(x, view, {"grey": torch.zeros(x.shape[0] * x.shape[1]), **draws}, clip)

    monkeypatch.setattr(labelled_clips, "way_on", lambda device: kernels)
    found = augment_clips(x, view, CLIP, jitter, torch.Generator().manual_seed(3))
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)
    assert calls == [view]
