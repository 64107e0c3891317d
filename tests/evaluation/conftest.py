from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cocon.config.schema import Clip, Network
from cocon.datasets.manifest import Video, write_manifest
from cocon.evaluation.features import Features
from cocon.evaluation.metrics import Task
from cocon.shards import ShardWriter, VideoRecord
from cocon.shards.codecs import encode

CLASSES = ("jump", "run", "walk")


def _videos(train: int, test: int, classes: tuple[str, ...] = CLASSES) -> list[Video]:
    videos = [
        Video(f"{label}/{role}{i}", Path(f"{label}/{role}{i}.mp4"), label, f"g{i}", {"1": role})
        for label in classes
        for role, count in (("train", train), ("test", test))
        for i in range(count)
    ]
    return [*videos, Video("extra/0", Path("extra/0.mp4"), "", "", {"1": "train"})]


def _features(
    videos: list[Video], means_CD: np.ndarray, noise: float, seed: int = 0, view: str = "rgb"
) -> Features:
    rng = np.random.default_rng(seed)
    labelled = [video for video in videos if video.label]
    names = sorted({video.label for video in labelled})
    x_ND = means_CD[[names.index(video.label) for video in labelled]]

    def noisy() -> np.ndarray:
        return (x_ND + noise * rng.standard_normal(x_ND.shape)).astype(np.float32)

    ids = [video.id for video in labelled]
    return Features(ids, noisy(), noisy(), noisy(), np.ones(len(ids), np.int32), view, "cocon", {"clip": {}})


@pytest.fixture
def make_videos() -> Callable[..., list[Video]]:
    """``train`` and ``test`` videos per class, in split 1, and one video without a label."""
    return _videos


@pytest.fixture
def make_features() -> Callable[..., Features]:
    """Features scattered around one mean per class; unlabelled videos have none."""
    return _features


@pytest.fixture
def make_task() -> Callable[..., Task]:
    def task(protocol: str = "linear", view: str = "rgb") -> Task:
        return Task("demo", "cocon", view, protocol, "1", 0)

    return task


TINY_CLIP = Clip(blocks=2, frames_per_block=2, stride=1, predicted_blocks=1, crop={"mask": 16})
TINY_NETWORK = Network(layers=(1, 1, 1, 1), width=4, features=8, dropout=0.1)


def _stripes(label: str, frame: int, size: int = 24) -> np.ndarray:
    """Moving stripes: lying for jump, standing for run, none for walk."""
    waves = 127 + 120 * np.sin(np.arange(size) * 1.3 + frame)
    along = {"jump": waves[:, None], "run": waves[None, :], "walk": np.full((1, 1), 60.0)}[label]
    return np.ascontiguousarray(np.broadcast_to(along, (size, size))[..., None]).astype(np.uint8)


@pytest.fixture
def striped(tmp_path: Path) -> Path:
    """A folder ``demo``: manifest, shard of masks (run/test1 skipped), random encoder ``mask.safetensors``.

    Three classes of six training and two test videos of 5 to 9 frames; run/test1 and the video without a
    label are skipped.
    """
    return write_striped(tmp_path / "demo")


def write_striped(root: Path) -> Path:
    """Write what the fixture ``striped`` has."""
    from cocon.training.checkpoint import save_encoder
    from cocon.training.initialise import initial_network

    videos = _videos(6, 2)
    write_manifest(root / "manifest.csv", videos)
    sizes = {"height": 24, "width": 24, "source_height": 24, "source_width": 24, "fps": 8.0}
    shard = root / "shards" / "mask" / "00000.h5"
    ids = [video.id for video in videos]
    with ShardWriter(shard, view="mask", video_ids=ids, parameters={}, codec="jpeg") as writer:
        for number, video in enumerate(videos):
            if video.id == "run/test1" or not video.label:
                writer.skip(video.id, "cannot be decoded")
                continue
            frames = [encode(_stripes(video.label, number + i), 95) for i in range(5 + number % 5)]
            writer.add(VideoRecord(video.id, frames=frames, **sizes))
        writer.finish(max_failed_fraction=0.1)
    network = initial_network("mask", TINY_NETWORK, seed=0)
    save_encoder(root / "mask.safetensors", network, "mask", TINY_CLIP, "random", epoch=0, seed=0)
    return root
