"""A data set that is learned in a second: blobs of two views that move across 36 pixels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cocon.datasets.manifest import Video, write_manifest
from cocon.shards import ShardWriter, VideoRecord
from cocon.shards.codecs import encode
from cocon.training.devices import World, resolve_device
from cocon.training.pretrain import pretrain
from cocon.training.pretrain_job import PretrainJob
from cocon.training.settings import PretrainSettings

SIZE, FRAMES = 36, 10
SETTINGS: dict[str, Any] = {
    "clip": {
        "blocks": 4,
        "frames_per_block": 2,
        "stride": 1,
        "predicted_blocks": 1,
        "crop": {"rgb": 32, "mask": 32},
    },
    "network": {"layers": [1, 1, 1, 1], "width": 8, "features": 16, "dropout": 0.2},
    "pretraining": {
        "stage1": {"epochs": 3, "batch_size": 4},
        "stage2": {"epochs": 2, "batch_size": 4},
        "validation_fraction": 0,
    },
}


def _blob(generator: np.random.Generator) -> np.ndarray:
    """How much of a blob each pixel shows, (T, H, W) in [0, 1]."""
    start, speed = generator.uniform(8, 28, 2), generator.uniform(-1.5, 1.5, 2)
    times = np.arange(FRAMES)[:, None]
    y_T, x_T = (start + speed * times).T
    grid = np.arange(SIZE)
    return np.exp(-((grid[None, :, None] - y_T[:, None, None]) ** 2 + (grid - x_T[:, None, None]) ** 2) / 30)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with manifest.csv (16 training videos of 8 people, 2 test videos) and shards."""
    folder = tmp_path_factory.mktemp("blobs")
    people = [f"p{person}" for person in range(9)]
    videos = [
        Video(f"{person}_{take}", Path("x.mp4"), "", person, {"1": "test" if person == "p8" else "train"})
        for person in people
        for take in range(2)
    ]
    write_manifest(folder / "manifest.csv", videos)
    for view, channels in (("rgb", 3), ("mask", 1)):
        generator = np.random.default_rng(0)
        path = folder / "shards" / view / "00000.h5"
        ids = [video.id for video in videos]
        with ShardWriter(path, view=view, video_ids=ids, parameters={}, codec="jpeg") as writer:
            for video_id in ids:
                colour = generator.uniform(100, 255, 3)[:channels]
                frames = (_blob(generator)[..., None] * colour).astype(np.uint8)
                coded = [encode(frame, 90) for frame in frames]
                writer.add(VideoRecord(video_id, SIZE, SIZE, SIZE, SIZE, 16.0, frames=coded))
            writer.finish()
    return folder


@pytest.fixture(scope="session")
def settings() -> Callable[..., PretrainSettings]:
    """The small settings, with other values for some keys of ``pretraining``."""

    def make(**pretraining: Any) -> PretrainSettings:
        merged = {**SETTINGS, "pretraining": {**SETTINGS["pretraining"], **pretraining}}
        return PretrainSettings.model_validate(merged)

    return make


@pytest.fixture
def job(
    dataset: Path, tmp_path: Path, settings: Callable[..., PretrainSettings]
) -> Callable[..., PretrainJob]:
    """A job of stage 1 for rgb that writes to ``tmp_path``; any attribute can be given otherwise."""

    def make(**changes: Any) -> PretrainJob:
        arguments: dict[str, Any] = {
            "manifest": dataset / "manifest.csv",
            "shards": dataset / "shards",
            "split": "1",
            "views": ["rgb"],
            "stage": "stage1",
            "preset": None,
            "init": None,
            "output": tmp_path / "out",
            "log": tmp_path / "out" / "log.jsonl",
            "state": tmp_path / "state",
            "settings": settings(),
            "seed": 0,
        }
        return PretrainJob(**{**arguments, **changes})

    return make


@pytest.fixture
def run() -> Callable[[PretrainJob], None]:
    """Run a job in this process, on the CPU."""
    return lambda job: pretrain(job, World(resolve_device("cpu")))
