from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from cocon.config.schema import Clip
from cocon.data.clips import read_windows
from cocon.data.network_input import to_network_input
from cocon.evaluation.windows import mean_over_windows, usable_videos
from cocon.shards import ShardSet

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
    assert "1 videos of the manifest are in no shard of the view mask, 'fly/test1' for one" in caplog.text
