"""Shards of all views with rendered content, as large as those of real videos."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cocon.config.schema import FlowExtraction, RgbExtraction
from cocon.shards import Shard, ShardSet, ShardWriter, VideoRecord
from cocon.shards.codecs import encode_as
from view_extractors.base import Output
from view_extractors.flow.dis import Dis
from view_extractors.pipeline.rendered import write_sample
from view_extractors.pipeline.run import extract
from view_extractors.rgb.decode import Rgb

#: (h, w), px
SOURCE = (240, 320)
_SMALL = (75, 100)


def write(folder: Path, videos: int, frames: int) -> dict[str, ShardSet]:
    """Write a shard per view; every video has the same frames.

    Args:
        folder: gets a folder per view.
        videos: their number.
        frames: of each.
    """
    sample = {"0": write_sample(folder / "sample.mkv", frames, SOURCE, "libx264")}
    extractors = [Rgb(RgbExtraction()), Dis(FlowExtraction(backend="dis"))]
    extract(sample, [Output(extractor, folder / f"{extractor.view}.h5") for extractor in extractors])
    for extractor in extractors:
        shard = Shard(folder / f"{extractor.view}.h5")
        info = shard.videos["0"]
        stored = list(shard.stored("0", range(info.frames)))
        _write(folder, extractor.view, extractor.codec, videos, (info.height, info.width), frames=stored)
    _write(folder, "mask", "delta", videos, _SMALL, frames=_masks(frames))
    _write(folder, "pose", "keypoints", videos, _SMALL, keypoints=_keypoints(frames))
    return {view: ShardSet.of_folder(folder / view) for view in ("rgb", "flow", "mask", "pose")}


def _write(
    folder: Path, view: str, codec: object, videos: int, size: tuple[int, int], **content: object
) -> None:
    (folder / view).mkdir()
    ids = [str(number) for number in range(videos)]
    path = folder / view / "00000.h5"
    with ShardWriter(path, view=view, video_ids=ids, parameters={"sigma": 2.0}, codec=codec) as writer:  # type: ignore[arg-type]
        for video in ids:
            writer.add(VideoRecord(video, *size, *SOURCE, 25.0, **content))  # type: ignore[arg-type]
        writer.finish()


def _masks(frames: int) -> list[bytes]:
    """An upright ellipse that moves."""
    y, x = np.mgrid[: _SMALL[0], : _SMALL[1]]
    middles = 50 + 20 * np.sin(np.arange(frames) / 10)
    inside = [((x - middle) / 12) ** 2 + ((y - 40) / 30) ** 2 < 1 for middle in middles]
    return [encode_as("delta", (255 * mask[..., None]).astype(np.uint8), 0) for mask in inside]


def _keypoints(frames: int) -> list[np.ndarray]:
    """One person per frame."""
    place = np.random.default_rng(0).uniform(0.2, 0.8, (1, 17, 2))
    moved = [place + 0.05 * np.sin(number / 10) for number in range(frames)]
    return [np.concatenate([p, np.full((1, 17, 1), 0.9)], -1).astype(np.float32) for p in moved]
