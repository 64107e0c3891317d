"""How fast are random clips read from shards, and from what the field keeps its frames in?

    python -m benchmarks.shards [--quick] [--videos FOLDER]

Extracts the four views of some videos with the default sizes and stores them

- as shards (and once more with rgb as ``dct`` instead of ``jpeg``),
- as a folder with one JPEG per frame, flow_x and flow_y apart,
- in LMDB, one value per video and view with its JPEGs,
- in HDF5 with one variable-length array of bytes per frame.

The others hold flow and masks as JPEG of quality 95 and poses as 17 heatmaps in one JPEG, the fastest of
their ways (see benchmarks.pose_storage). Then clips of 8 x 5 frames, stride 3, are read in all four views and
decoded, method by method in turn, in one process and in two at once. As in training, the processes keep
freed memory. Times are CPU times, files are in the page cache. The last line is one JSON object; ``ratio`` is
clips/s of shards over those of the best other, and ``checks`` the part by which the checksums of the frames
lengthen reading, with what zlib's CRC-32 would cost in their place.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import h5py
import lmdb
import numpy as np

from cocon.config.schema import FlowExtraction, MaskExtraction, PoseExtraction, RgbExtraction
from cocon.shards import Shard
from cocon.shards.codecs import encode
from cocon.training.devices import keep_freed_memory
from view_extractors.base import Output
from view_extractors.pipeline.rendered import write_sample
from view_extractors.pipeline.run import extract
from view_extractors.registry import extractor_class

CLIP = np.arange(40) * 3
CHANNELS = {"rgb": 3, "flow": 2, "mask": 1, "pose": 17}
Jpegs = dict[str, dict[str, list[list[bytes]]]]
"""By view and video: per frame the JPEGs that make it up (two for flow)."""


def sources(folder: Path | None, quick: bool, scratch: Path) -> dict[str, Path]:
    """Real clips that are long enough; where there are none, one that is rendered into ``scratch``."""
    default = Path(os.environ.get("COCON_SHARED_DATA", "../shared/data"), "clips", "ucf101")
    found = sorted(path for path in Path(folder or default).glob("**/*") if path.suffix in (".avi", ".mp4"))
    long_enough = [path for path in found if frames_of(path) > CLIP[-1]]
    chosen = long_enough[: 3 if quick else None]
    chosen = chosen or [write_sample(scratch / "rendered.mkv", 160, (240, 320), "libx264")]
    return {str(number): path for number, path in enumerate(chosen)}


def frames_of(path: Path) -> int:
    return int(cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT))


def write_shards(videos: dict[str, Path], folder: Path) -> dict[str, Shard]:
    settings = {
        "rgb": RgbExtraction(),
        "rgb_dct": RgbExtraction(codec="dct"),
        "flow": FlowExtraction(backend="dis"),
        "mask": MaskExtraction(),
        "pose": PoseExtraction(),
    }
    outputs = []
    for name, section in settings.items():
        backend = getattr(section, "backend", None)
        extractor = extractor_class(name.removesuffix("_dct"), backend)(section)
        outputs.append(Output(extractor, folder / f"{name}.h5"))
    extract(videos, outputs)
    return {name: Shard(folder / f"{name}.h5") for name in settings}


def as_jpegs(shards: dict[str, Shard]) -> Jpegs:
    """The same content in the formats that are common in the field."""
    jpegs: Jpegs = {view: {} for view in CHANNELS}
    for video_id, info in shards["rgb"].videos.items():
        every = range(info.frames)
        jpegs["rgb"][video_id] = [[data] for data in shards["rgb"].stored(video_id, every)]
        for view in ("flow", "mask", "pose"):
            frames_THWC = shards[view].read(video_id, every)
            planes = [
                [frame[..., :1], frame[..., 1:]] if view == "flow" else [frame] for frame in frames_THWC
            ]
            jpegs[view][video_id] = [[encode(plane, 95) for plane in frame] for frame in planes]
    return jpegs


def decoded(view: str, frames: Sequence[Sequence[bytes | np.ndarray]]) -> np.ndarray:
    """The frames of a clip in one array; rgb (T, H, W, 3), others (T, C H, W), whatever is fastest."""
    flag = cv2.IMREAD_COLOR_RGB if view == "rgb" else cv2.IMREAD_GRAYSCALE
    pictures = [cv2.imdecode(np.frombuffer(data, np.uint8), flag) for frame in frames for data in frame]
    return np.stack(pictures)


class Folder:
    def __init__(self, path: Path, jpegs: Jpegs) -> None:
        self.path = path
        for view, videos in jpegs.items():
            for video_id, frames in videos.items():
                for part in range(len(frames[0])):
                    (path / video_id / f"{view}_{part}").mkdir(parents=True)
                for number, frame in enumerate(frames):
                    for part, data in enumerate(frame):
                        self.file(view, video_id, part, number).write_bytes(data)

    def file(self, view: str, video_id: str, part: int, number: int) -> Path:
        return self.path / video_id / f"{view}_{part}" / f"{number:05d}.jpg"

    def read(self, video_id: str, indices: Sequence[int]) -> list[np.ndarray]:
        clip = []
        for view in CHANNELS:
            flag = cv2.IMREAD_COLOR_RGB if view == "rgb" else cv2.IMREAD_GRAYSCALE
            parts = 2 if view == "flow" else 1
            names = [f"{self.path}/{video_id}/{view}_{p}/{i:05d}.jpg" for i in indices for p in range(parts)]
            clip.append(np.stack([cv2.imread(name, flag) for name in names]))
        return clip


class Lmdb:
    def __init__(self, path: Path, jpegs: Jpegs) -> None:
        self.path = path
        with lmdb.open(str(path), map_size=1 << 34) as environment, environment.begin(write=True) as writing:
            for view, videos in jpegs.items():
                for video_id, frames in videos.items():
                    pieces = [data for frame in frames for data in frame]
                    offsets = np.cumsum([0, *map(len, pieces)])
                    value = np.int64(len(pieces)).tobytes() + offsets.tobytes() + b"".join(pieces)
                    writing.put(f"{view}/{video_id}".encode(), value)
        self._reading = None

    def read(self, video_id: str, indices: Sequence[int]) -> list[np.ndarray]:
        if self._reading is None:
            environment = lmdb.open(str(self.path), readonly=True, lock=False, readahead=False)
            self._reading = environment.begin(buffers=True)
        clip = []
        for view in CHANNELS:
            value = memoryview(self._reading.get(f"{view}/{video_id}".encode()))
            count = int(np.frombuffer(value, np.int64, 1)[0])
            starts = (np.frombuffer(value, np.int64, count + 1, 8) + 8 * (count + 2)).tolist()
            parts = 2 if view == "flow" else 1
            pieces = [i * parts + p for i in indices for p in range(parts)]
            clip.append(decoded(view, [[value[starts[i] : starts[i + 1]]] for i in pieces]))
        return clip


class VariableLength:
    def __init__(self, path: Path, jpegs: Jpegs) -> None:
        self.path = path
        with h5py.File(path, "w") as file:
            for view, videos in jpegs.items():
                for video_id, frames in videos.items():
                    pieces = [np.frombuffer(data, np.uint8) for frame in frames for data in frame]
                    data_set = file.create_dataset(
                        f"{view}/{video_id}", (len(pieces),), h5py.vlen_dtype(np.uint8)
                    )
                    for number, piece in enumerate(pieces):
                        data_set[number] = piece
        self._file: h5py.File | None = None

    def read(self, video_id: str, indices: Sequence[int]) -> list[np.ndarray]:
        self._file = self._file or h5py.File(self.path)
        clip = []
        begin, end, step = indices[0], indices[-1] + 1, indices[1] - indices[0]
        for view in CHANNELS:
            data_set = self._file[f"{view}/{video_id}"]
            if view == "flow":
                both = np.stack(
                    [data_set[2 * begin : 2 * end : 2 * step], data_set[2 * begin + 1 : 2 * end : 2 * step]],
                    1,
                )
                clip.append(decoded(view, list(both)))
            else:
                clip.append(decoded(view, [[piece] for piece in data_set[begin:end:step]]))
        return clip


Reader = Callable[[str, Sequence[int]], list[np.ndarray]]


def times(readers: dict[str, Reader], lengths: dict[str, int], clips: int, seed: int) -> dict[str, float]:
    """Median CPU seconds per clip and reader; the readers take turns with every clip."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng(seed)
    taken: dict[str, list[float]] = {name: [] for name in readers}
    for number in range(clips + 3):
        video_id = str(rng.choice(list(lengths)))
        indices = (CLIP + rng.integers(lengths[video_id] - CLIP[-1])).tolist()
        for name, read in readers.items():
            began = time.process_time()
            read(video_id, indices)
            if number >= 3:  # the first ones open files and load compiled code
                taken[name].append(time.process_time() - began)
    return {name: statistics.median(values) for name, values in taken.items()}


def clips_per_second(
    readers: dict[str, Reader], lengths: dict[str, int], clips: int, workers: int
) -> dict[str, float]:
    """Of all workers together."""
    context = multiprocessing.get_context("fork")
    results: multiprocessing.Queue[dict[str, float]] = context.Queue()

    def work(seed: int) -> None:
        results.put(times(readers, lengths, clips, seed))

    processes = [context.Process(target=work, args=(seed,)) for seed in range(workers)]
    for process in processes:
        process.start()
    found = [results.get() for _ in processes]
    for process in processes:
        process.join()
    return {name: sum(1 / result[name] for result in found) for name in readers}


def size_of(*paths: Path) -> int:
    """Bytes on disk, with what the file system adds to small files."""
    files = [file for path in paths for file in (path.rglob("*") if path.is_dir() else [path])]
    return sum(file.stat().st_blocks * 512 for file in files if file.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="three videos and fewer clips, under 50 s")
    parser.add_argument("--videos", type=Path, help="folder of videos (default: the real clips, or rendered)")
    options = parser.parse_args()
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shards = write_shards(sources(options.videos, options.quick, folder), folder)
        lengths = {video.id: video.frames for video in shards["rgb"].videos.values()}
        lengths = {video_id: frames for video_id, frames in lengths.items() if frames > CLIP[-1]}
        jpegs = as_jpegs(shards)
        others = {
            "folder of JPEGs": (Folder(folder / "folder", jpegs), folder / "folder"),
            "HDF5, variable length": (VariableLength(folder / "vlen.h5", jpegs), folder / "vlen.h5"),
            "LMDB of JPEG lists": (Lmdb(folder / "lmdb", jpegs), folder / "lmdb"),
        }

        def ours(rgb: str) -> Reader:
            order = [shards[rgb], shards["flow"], shards["mask"], shards["pose"]]
            return lambda video_id, indices: [shard.read(video_id, indices) for shard in order]

        readers: dict[str, Reader] = {"shards": ours("rgb"), "shards, rgb as dct": ours("rgb_dct")}
        readers |= {name: store.read for name, (store, _) in others.items()}
        frames = sum(video.frames for video in shards["rgb"].videos.values())
        rest = [folder / f"{view}.h5" for view in ("flow", "mask", "pose")]
        sizes = {"shards": size_of(folder / "rgb.h5", *rest)}
        sizes["shards, rgb as dct"] = size_of(folder / "rgb_dct.h5", *rest)
        sizes |= {name: size_of(path) for name, (_, path) in others.items()}
        clips = 25 if options.quick else 200
        speeds = {n: clips_per_second(readers, lengths, clips, n) for n in (1, 2)}
        views = view_milliseconds(shards, jpegs, lengths, clips)
        checks = cost_of_checks(shards, lengths, 2 * clips)
    report(speeds, {name: size / frames for name, size in sizes.items()}, views, checks, list(others), clips)


class Unchecked(Shard):
    """A shard whose frames are read without checks."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._checksums = None


class WithCrc32(Unchecked):
    """A shard whose frames are checked by zlib instead."""

    def _frames(self, video_id: str, indices: Sequence[int] | np.ndarray) -> list[memoryview]:
        frames = super()._frames(video_id, indices)
        for frame in frames:
            zlib.crc32(frame)
        return frames


def cost_of_checks(shards: dict[str, Shard], lengths: dict[str, int], clips: int) -> dict[str, float]:
    """By checksum: the part by which it lengthens the reading of all four views."""

    def reader(kind: type[Shard]) -> Reader:
        opened = [kind(shards[view].path) for view in CHANNELS]
        return lambda video_id, indices: [shard.read(video_id, indices) for shard in opened]

    kinds = {"none": Unchecked, "xxh64": Shard, "crc32": WithCrc32}
    found = times({name: reader(kind) for name, kind in kinds.items()}, lengths, clips, 5)
    return {name: found[name] / found["none"] - 1 for name in ("xxh64", "crc32")}


def view_milliseconds(
    shards: dict[str, Shard], jpegs: Jpegs, lengths: dict[str, int], clips: int
) -> dict[str, float]:
    """CPU time per clip of every view alone, from shards and from JPEGs in memory."""
    readers: dict[str, Reader] = {}
    for name in shards:
        readers[f"{name}, shard"] = lambda video_id, indices, name=name: [
            shards[name].read(video_id, indices)
        ]
    for view in CHANNELS:
        readers[f"{view}, JPEG"] = lambda video_id, indices, view=view: [
            decoded(view, [jpegs[view][video_id][i] for i in indices])
        ]
    return {name: 1000 * value for name, value in times(readers, lengths, clips, 9).items()}


def report(
    speeds: dict[int, dict[str, float]],
    sizes: dict[str, float],
    views: dict[str, float],
    checks: dict[str, float],
    others: list[str],
    clips: int,
) -> None:
    for name, milliseconds in views.items():
        print(f"{name:<24} {milliseconds:7.2f} ms per clip")
    for name, size in sizes.items():
        row = "  ".join(f"{speed[name]:7.1f} clips/s with {n}" for n, speed in speeds.items())
        print(f"{name:<24} {row} {size:9.0f} bytes a frame")
    best = {n: max(speed[name] for name in others) for n, speed in speeds.items()}
    ratios = {n: speed["shards"] / best[n] for n, speed in speeds.items()}
    with_dct = {n: speed["shards, rgb as dct"] / best[n] for n, speed in speeds.items()}
    figures = {
        name: {
            **{f"clips_per_second_{n}": round(speed[name], 1) for n, speed in speeds.items()},
            "bytes_per_frame": round(size),
        }
        for name, size in sizes.items()
    }
    print(
        json.dumps(
            {
                "ratio": round(min(ratios.values()), 3),
                "ratio_by_workers": {str(n): round(ratio, 3) for n, ratio in ratios.items()},
                "ratio_with_dct": {str(n): round(ratio, 3) for n, ratio in with_dct.items()},
                "checks": {name: round(part, 4) for name, part in checks.items()},
                "clips": clips,
                "milliseconds": {name: round(value, 2) for name, value in views.items()},
                **figures,
            }
        )
    )


if __name__ == "__main__":
    main()
