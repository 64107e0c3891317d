"""Are heatmaps read faster when they are drawn from keypoints, or when they are stored as pictures?

    python -m benchmarks.pose_storage [--quick]

Holds the same poses in four ways - keypoints in a shard; keypoints in JSON, drawn by numpy around each joint;
17 heatmaps below each other as JPEG, and as PNG - and reads random clips of 40 frames from each in turn. The
last line is one JSON object; ``ratio`` is the CPU time of the fastest other way over that of the shard.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from cocon.config.schema import PoseExtraction
from cocon.shards import Shard, ShardWriter, VideoRecord
from cocon.shards.heatmaps import render_heatmaps

HEIGHT, WIDTH, CLIP = 75, 100, 40
SIGMA = PoseExtraction().sigma


def random_poses(rng: np.random.Generator, frames: int, persons: int) -> list[np.ndarray]:
    """Smooth random walks of ``persons`` poses."""
    start = rng.uniform(0.2, 0.8, (1, persons, 17, 2))
    walk = np.cumsum(rng.normal(0, 0.004, (frames, persons, 17, 2)), axis=0)
    score = rng.uniform(0.5, 1, (frames, persons, 17, 1))
    return list(np.concatenate([start + walk, score], axis=-1).astype(np.float32))


def write(path: Path, poses: dict[str, list[np.ndarray]]) -> Shard:
    with ShardWriter(
        path, view="pose", video_ids=list(poses), parameters={"sigma": SIGMA}, codec="keypoints"
    ) as writer:
        for video_id, track in poses.items():
            writer.add(VideoRecord(video_id, HEIGHT, WIDTH, 240, 320, 25.0, keypoints=track))
        writer.finish()
    return Shard(path)


def pictures(track: list[np.ndarray], suffix: str) -> list[bytes]:
    """Per frame the 17 heatmaps below each other."""
    heat = render_heatmaps(np.concatenate(track), [len(frame) for frame in track], HEIGHT, WIDTH, SIGMA)
    stacked = np.ascontiguousarray(heat.transpose(0, 3, 1, 2)).reshape(len(track), -1, WIDTH)
    return [cv2.imencode(suffix, picture)[1].tobytes() for picture in stacked]


def read_pictures(coded: Sequence[bytes]) -> np.ndarray:
    """``uint8`` (T, 17 * height, width), in which the heatmaps lie one after the other."""
    return np.stack([cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE) for data in coded])


def read_json(coded: Sequence[bytes]) -> np.ndarray:
    """``float32`` (T, 17, height, width): a window of three sigma around each joint."""
    heat = np.zeros((len(coded), 17, HEIGHT, WIDTH), np.float32)
    for t, data in enumerate(coded):
        for person in json.loads(data):
            for joint, (x, y, score) in enumerate(person):
                x, y = x * WIDTH - 0.5, y * HEIGHT - 0.5
                left, right = max(int(x - 3 * SIGMA), 0), min(int(x + 3 * SIGMA) + 2, WIDTH)
                top, bottom = max(int(y - 3 * SIGMA), 0), min(int(y + 3 * SIGMA) + 2, HEIGHT)
                if left >= right or top >= bottom:
                    continue
                across = np.exp(-((np.arange(left, right, dtype=np.float32) - x) ** 2) / (2 * SIGMA**2))
                down = np.exp(-((np.arange(top, bottom, dtype=np.float32) - y) ** 2) / (2 * SIGMA**2))
                window = heat[t, joint, top:bottom, left:right]
                np.maximum(window, score * down[:, None] * across, out=window)
    return heat


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
    stored = {
        "jpeg": {key: pictures(track, ".jpg") for key, track in poses.items()},
        "png": {key: pictures(track, ".png") for key, track in poses.items()},
        "json": {key: [json.dumps(p.tolist()).encode() for p in track] for key, track in poses.items()},
    }
    read = {"jpeg": read_pictures, "png": read_pictures, "json": read_json}
    times: dict[str, list[float]] = {name: [] for name in ("shard", *stored)}
    with tempfile.TemporaryDirectory() as folder:
        shard = write(Path(folder, "pose.h5"), poses)
        sizes = {"shard": Path(folder, "pose.h5").stat().st_size}
        shard.read("0", range(CLIP))  # loads compiled code
        for _ in range(clips):
            key, begin = str(rng.integers(videos)), int(rng.integers(frames - CLIP))
            indices = range(begin, begin + CLIP)
            for name, taken in times.items():
                began = time.process_time()
                if name == "shard":
                    shard.read(key, indices)
                else:
                    read[name]([stored[name][key][i] for i in indices])
                taken.append(time.process_time() - began)
    sizes |= {
        name: sum(len(d) for track in content.values() for d in track) for name, content in stored.items()
    }
    figures = {
        name: {
            "ms_per_clip": round(1000 * statistics.median(values), 3),
            "bytes_per_frame": round(sizes[name] / (videos * frames)),
        }
        for name, values in times.items()
    }
    for name, entry in figures.items():
        print(
            f"{name:<6} {entry['ms_per_clip']:8.2f} ms per clip {entry['bytes_per_frame']:7d} bytes a frame"
        )
    best = min(entry["ms_per_clip"] for name, entry in figures.items() if name != "shard")
    ratio = round(best / figures["shard"]["ms_per_clip"], 3)
    print(json.dumps({"ratio": ratio, "clips": clips, **figures}))


if __name__ == "__main__":
    main()
