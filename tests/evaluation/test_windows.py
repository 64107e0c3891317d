from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from cocon.config.schema import Clip
from cocon.data.augmentation import mirror
from cocon.data.clips import read_windows
from cocon.data.network_input import to_network_input
from cocon.evaluation import windows as module
from cocon.evaluation.windows import apply_to_windows, mean_over_windows, usable_videos
from cocon.shards import ShardSet, ShardWriter, VideoRecord
from cocon.shards.codecs import encode

CLIP = Clip(blocks=2, frames_per_block=2, stride=1, predicted_blocks=1, crop={"mask": 16})


@pytest.fixture
def shards(striped: Path) -> ShardSet:
    return ShardSet.of_folder(striped / "shards" / "mask")


def _judge(x_BNCKHW: Tensor) -> dict[str, Tensor]:
    flat = x_BNCKHW.flatten(1)
    return {"mean": flat.mean(1, keepdim=True), "ends": flat[:, [0, -1]]}


@pytest.mark.parametrize("workers", [0, 1])
def test_every_video_gets_the_mean_of_its_own_windows(shards: ShardSet, workers: int) -> None:
    ids = usable_videos(shards, shards.videos)
    means, windows = mean_over_windows(
        _judge, shards, ids, CLIP, device=torch.device("cpu"), batch_size=5, workers=workers
    )
    assert len(ids) == 23
    assert set(windows) == {2, 3, 4}
    for row, video in enumerate(ids):
        x = torch.from_numpy(read_windows(shards, video, CLIP, "mask"))
        expected = {name: value.mean(0) for name, value in _judge(to_network_input(x, "mask", CLIP)).items()}
        assert windows[row] == len(x)
        for name, value in expected.items():
            np.testing.assert_allclose(means[name][row], value, rtol=1e-5)


@pytest.mark.parametrize("crops", [1, 10])
def test_long_videos_are_read_in_parts(
    shards: ShardSet, monkeypatch: pytest.MonkeyPatch, crops: Literal[1, 10]
) -> None:
    ids = usable_videos(shards, shards.videos)
    options = {"device": torch.device("cpu"), "batch_size": 3, "crops": crops}
    whole, counts = mean_over_windows(_judge, shards, ids, CLIP, **options)
    read: list[int] = []

    def spy(*arguments: object, **given: object) -> np.ndarray:
        found = read_windows(*arguments, **given)  # type: ignore[arg-type]
        read.append(len(found))
        return found

    monkeypatch.setattr(module, "read_windows", spy)
    monkeypatch.setattr(module, "_TOGETHER", 2 * (5 if crops == 10 else 1))
    parts, same = mean_over_windows(_judge, shards, ids, CLIP, **options)
    assert max(read) == 2 * (5 if crops == 10 else 1)
    np.testing.assert_array_equal(counts, same)
    for name, means in whole.items():
        np.testing.assert_allclose(parts[name], means, rtol=1e-6)


def test_a_batch_is_launched_before_the_one_before_is_read(shards: ShardSet) -> None:
    seen: list[str] = []

    def judge(x_BNCKHW: Tensor) -> dict[str, Tensor]:
        seen.append("computed")
        return _judge(x_BNCKHW)

    ids = usable_videos(shards, shards.videos)[:3]
    windows = len(np.concatenate([read_windows(shards, video, CLIP, "mask") for video in ids]))
    for _ in apply_to_windows(judge, shards, ids, CLIP, device=torch.device("cpu"), batch_size=1):
        seen.append("read")
    assert seen == ["computed", *["computed", "read"] * (windows - 1), "read"]


def test_order_of_the_ids_is_kept(shards: ShardSet) -> None:
    options = {"device": torch.device("cpu"), "batch_size": 4}
    there, _ = mean_over_windows(_judge, shards, ["run/train0", "walk/train0"], CLIP, **options)
    back, _ = mean_over_windows(_judge, shards, ["walk/train0", "run/train0"], CLIP, **options)
    np.testing.assert_array_equal(there["mean"], back["mean"][::-1])


def test_skipped_videos_go_silently_and_unknown_ones_with_a_warning(
    shards: ShardSet, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert usable_videos(shards, ["run/test1", "run/test0"]) == ["run/test0"]
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        assert usable_videos(shards, ["fly/test1", "run/test0"]) == ["run/test0"]
    assert "1 videos of the manifest are in no shard of the view mask, for example 'fly/test1'" in caplog.text


def _flow_shards(path: Path, frames: np.ndarray) -> ShardSet:
    """One video ``v`` of the view flow, whose frames (T, H, W, 2) are stored nearly without loss."""
    height, width = frames.shape[1:3]
    sizes = {"height": height, "width": width, "source_height": height, "source_width": width, "fps": 8.0}
    with ShardWriter(path, view="flow", video_ids=["v"], parameters={}, codec="jpeg") as writer:
        writer.add(VideoRecord("v", frames=[encode(frame, 100) for frame in frames], **sizes))
        writer.finish(max_failed_fraction=0)
    return ShardSet.of_folder(path.parent)


def test_ten_crops_are_centre_and_corners_as_they_are_and_mirrored(tmp_path: Path) -> None:
    """By a slow loop over a video of flow: mirroring it turns u round."""
    rng = np.random.default_rng(0)
    smooth = rng.uniform(60, 200, (6, 5, 6, 2)).repeat(4, axis=1).repeat(4, axis=2)
    shards = _flow_shards(tmp_path / "flow" / "00000.h5", smooth.astype(np.uint8))
    clip = CLIP.model_copy(update={"crop": {"flow": 16}})
    frames = torch.from_numpy(shards.read("v", np.arange(6))).permute(0, 3, 1, 2).float() / 255

    def judge(x_BNCKHW: Tensor) -> dict[str, Tensor]:
        u, v = x_BNCKHW[:, :, 0].flatten(1), x_BNCKHW[:, :, 1].flatten(1)
        edge = x_BNCKHW[:, 0, :, 0, 0, 0]
        return {"all": torch.stack([u.mean(1), v.mean(1), (u * v).mean(1), edge[:, 0], edge[:, 1]], 1).exp()}

    means, windows = mean_over_windows(
        judge, shards, ["v"], clip, device=torch.device("cpu"), batch_size=4, crops=10
    )
    parts = []
    for start in (0, 2):
        for top, left in ((2, 4), (0, 0), (0, 8), (4, 0), (4, 8)):
            part = frames[start : start + 4, :, top : top + 16, left : left + 16]
            for x_TCHW in (part, mirror(part[None].clone(), "flow")[0]):
                x = (x_TCHW - 128 / 255) / (127 / 255)
                parts.append(judge(x.unflatten(0, (2, 2)).permute(0, 2, 1, 3, 4)[None])["all"])
    assert (len(parts), windows.tolist()) == (20, [10])
    np.testing.assert_allclose(means["all"][0], torch.cat(parts).mean(0), rtol=1e-5)
    centre, _ = mean_over_windows(judge, shards, ["v"], clip, device=torch.device("cpu"), batch_size=4)
    assert abs(centre["all"] - means["all"]).max() > 1e-3
