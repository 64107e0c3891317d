"""Are heatmaps read faster when they are drawn from keypoints, or when they are stored as pictures?

    python -m benchmarks.pose_storage [--quick]

Writes the same poses three ways - keypoints, 17 stacked heatmaps as JPEG, the same as PNG - and reads random
clips of 40 frames from each in turn. The last line is one JSON object; ``ratio`` is the time of the faster
stored picture over the time of drawing: above 1, keypoints win.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from cocon.config.schema import PoseExtraction
from cocon.shards import Shard, ShardWriter, VideoRecord
from cocon.shards.codecs import encode
from cocon.shards.heatmaps import render_heatmaps

HEIGHT, WIDTH, CLIP = 75, 100, 40
SIGMA = PoseExtraction().sigma


def random_poses(rng: np.random.Generator, frames: int, persons: int) -> list[np.ndarray]:
    """Smooth random walks of ``persons`` poses."""
    start = rng.uniform(0.2, 0.8, (1, persons, 17, 2))
    walk = np.cumsum(rng.normal(0, 0.004, (frames, persons, 17, 2)), axis=0)
    score = rng.uniform(0.5, 1, (frames, persons, 17, 1))
    return list(np.concatenate([start + walk, score], axis=-1).astype(np.float32))


def png(heatmaps_HWJ: np.ndarray) -> bytes:
    stacked = np.ascontiguousarray(heatmaps_HWJ.transpose(2, 0, 1)).reshape(-1, WIDTH)
    return bytes(cv2.imencode(".png", stacked)[1])


def write(path: Path, codec: str, videos: dict[str, dict[str, list]]) -> Shard:
    """A shard of view pose with the given content per video."""
    with ShardWriter(
        path, view="pose", video_ids=list(videos), parameters={"sigma": SIGMA}, codec=codec
    ) as writer:
        for video_id, content in videos.items():
            writer.add(VideoRecord(video_id, HEIGHT, WIDTH, 240, 320, 25.0, **content))
        writer.finish()
    return Shard(path)


def seconds(read: Callable[[], object]) -> float:
    began = time.perf_counter()
    read()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer videos and clips, under 50 s")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    frames, videos, clips = (120, 4, 40) if options.quick else (180, 20, 300)
    poses = {str(i): random_poses(rng, frames, persons=1 + i % 2) for i in range(videos)}
    maps = {key: list(render_heatmaps(track, HEIGHT, WIDTH, SIGMA)) for key, track in poses.items()}
    pngs = {key: [png(heatmaps) for heatmaps in track] for key, track in maps.items()}
    with tempfile.TemporaryDirectory() as folder:
        drawn = write(
            Path(folder, "drawn.h5"), "keypoints", {key: {"keypoints": track} for key, track in poses.items()}
        )
        jpeg = write(
            Path(folder, "jpeg.h5"),
            "jpeg",
            {key: {"frames": [encode(heatmaps, 95) for heatmaps in track]} for key, track in maps.items()},
        )

        def read_png(key: str, indices: np.ndarray) -> np.ndarray:
            data = [np.frombuffer(pngs[key][i], np.uint8) for i in indices]
            pictures = [cv2.imdecode(picture, cv2.IMREAD_GRAYSCALE) for picture in data]
            return np.stack([p.reshape(17, HEIGHT, WIDTH).transpose(1, 2, 0) for p in pictures])

        readers = {"keypoints": drawn.read, "jpeg": jpeg.read, "png": read_png}
        times: dict[str, list[float]] = {name: [] for name in readers}
        for _ in range(clips):
            key, begin = str(rng.integers(videos)), int(rng.integers(frames - CLIP))
            indices = np.arange(begin, begin + CLIP)
            for name, read in readers.items():
                times[name].append(seconds(lambda read=read, key=key, indices=indices: read(key, indices)))
        bytes_per_frame = {
            "keypoints": (Path(folder) / "drawn.h5").stat().st_size / (videos * frames),
            "jpeg": (Path(folder) / "jpeg.h5").stat().st_size / (videos * frames),
            "png": sum(len(data) for track in pngs.values() for data in track) / (videos * frames),
        }
    figures = {
        name: {
            "ms_per_clip": round(1000 * statistics.median(values), 3),
            "bytes_per_frame": round(bytes_per_frame[name]),
        }
        for name, values in times.items()
    }
    for name, entry in figures.items():
        print(
            f"{name:<10} {entry['ms_per_clip']:8.2f} ms per clip {entry['bytes_per_frame']:7d} bytes a frame"
        )
    stored = min(figures["jpeg"]["ms_per_clip"], figures["png"]["ms_per_clip"])
    print(
        json.dumps(
            {"ratio": round(stored / figures["keypoints"]["ms_per_clip"], 3), "clips": clips, **figures}
        )
    )


if __name__ == "__main__":
    main()
