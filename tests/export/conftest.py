"""Three small videos, one broken file, shards of two views of them, and encoders that know these shards."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from cocon.config.schema import Clip, Network
from cocon.datasets.manifest import Video, write_manifest
from cocon.export.encoder import Encoder, load_encoder
from cocon.export.write import ExportJob, export
from cocon.shards import ShardSet
from cocon.shards.parameters import common_parameters
from cocon.training.checkpoint import save_encoder
from cocon.training.initialise import initial_network

LENGTHS = {"short": 3, "walk/a": 9, "walk/b": 13}
FPS = 8
SETTINGS: dict[str, dict[str, Any]] = {
    "rgb": {"short_side": 28, "jpeg_quality": 80},
    "flow": {"backend": "farneback", "short_side": 28, "bound": 3, "farneback": {"window": 7}},
}
CLIP = Clip(blocks=2, frames_per_block=2, stride=1, predicted_blocks=1, crop={"rgb": 24, "flow": 20})
NETWORK = Network(layers=(1, 1, 1, 1), width=4, features=8, dropout=0.1)


def write_video(path: Path, frames: int, seed: int) -> Path:
    """Noise that moves to the side, 40 x 32 px."""
    path.parent.mkdir(parents=True, exist_ok=True)
    wide = np.random.default_rng(seed).integers(0, 255, (8, 10 + frames, 3), np.uint8)
    wide = np.ascontiguousarray(wide.repeat(4, axis=0).repeat(4, axis=1))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(FPS))
        stream.height, stream.width, stream.pix_fmt = 32, 40, "yuv420p"
        for i in range(frames):
            picture = np.ascontiguousarray(wide[:, 2 * i : 2 * i + 40])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``manifest.csv``, ``videos/``, ``shards/``; the video ``broken`` is text."""
    from view_extractors.cli import main

    folder = tmp_path_factory.mktemp("export")
    paths = {
        name: write_video(folder / "videos" / f"{name}.mp4", frames, seed)
        for seed, (name, frames) in enumerate(LENGTHS.items())
    }
    paths["broken"] = folder / "videos" / "broken.mp4"
    paths["broken"].write_text("no video")
    rows = [Video(name, path, "x", name, {"1": "train"}) for name, path in paths.items()]
    write_manifest(folder / "manifest.csv", rows)
    for view, settings in SETTINGS.items():
        (folder / "shards" / view).mkdir(parents=True)
        arguments = [view, "--manifest", folder / "manifest.csv", "--max-failed-fraction", "0.3"]
        arguments += ["--output", folder / "shards" / view / "00000.h5", "--settings", json.dumps(settings)]
        assert main([str(argument) for argument in arguments]) == 0
    return folder


@pytest.fixture(scope="session")
def checkpoint(data: Path) -> Callable[..., Path]:
    """Writes an encoder: ``checkpoint(path, view)``; what is said of its training can be given otherwise."""

    def make(
        path: Path,
        view: str,
        clip: Clip = CLIP,
        pretraining: str = "cocon",
        network: Network = NETWORK,
        **extra: Any,
    ) -> Path:
        known = common_parameters(ShardSet.of_folder(data / "shards" / view).shards)
        told = {"epoch": 7, "seed": 0, "training_videos": 3, "extraction": known, **extra}
        told = {key: value for key, value in told.items() if value is not None}
        save_encoder(path, initial_network(view, network, seed=0), view, clip, pretraining, **told)
        return path

    return make


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory, checkpoint: Callable[..., Path]) -> Path:
    """A folder with ``rgb.safetensors`` and ``flow.safetensors``."""
    folder = tmp_path_factory.mktemp("cocon")
    for view in SETTINGS:
        checkpoint(folder / f"{view}.safetensors", view)
    return folder


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory, checkpoints: Path) -> Path:
    """The exported encoder."""
    folder = tmp_path_factory.mktemp("exported") / "encoder"
    export(ExportJob([checkpoints / "flow.safetensors", checkpoints / "rgb.safetensors"], folder))
    return folder


@pytest.fixture(scope="session")
def encoder(exported: Path) -> Encoder:
    return load_encoder(exported, "cpu")
