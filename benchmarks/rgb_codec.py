"""Should rgb be stored as ``dct`` or as ``jpeg``? What each costs a training, and what a GPU needs.

    python -m benchmarks.rgb_codec [--quick] [--videos FOLDER] [--tflops 989] [--terabytes 3.35]

Extracts the four views of some videos with the default sizes, rgb once per codec, and measures in turn, clip
by clip, CPU milliseconds of one thread, files in the page cache:

- reading: the rgb of random training clips (8 x 5 frames) through :class:`cocon.shards.ShardSet`. ``jpeg``
  is measured with every decoder that is installed: OpenCV, which the shards use, and simplejpeg, imagecodecs,
  torchvision and PyAV, each by its fastest call, which writes straight into the clip where it can;
- loading: batches of all four views as a training loads them (crops and collation, nothing cached);
- coding: one frame, once, at extraction;
- PSNR: the stored pictures against the scaled frames of the videos.

What a GPU needs is predicted, not measured. Every operation of a training step at the default sizes, in
bfloat16, takes the longer of two times: its arithmetic at ``--tflops``, and its bytes, each tensor read or
written once, at ``--terabytes`` per second (the defaults: an H100's). A GPU that runs these operations one by
one is not faster, so the clips/s and the cores that follow are upper limits. The last line is one JSON
object; ``ratio`` is the time to load a batch with ``jpeg`` over that with ``dct``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from benchmarks.shards import sources, write_shards
from benchmarks.train_step import clip_of, make_trainer
from cocon.config.schema import Augmentation, Clip, RgbExtraction
from cocon.data.clips import ClipDataset
from cocon.data.loader import Loader
from cocon.data.sampling import clip_frames
from cocon.shards import Shard, ShardSet
from cocon.shards.codecs import PictureCodec, encode_as
from cocon.training.devices import keep_freed_memory
from cocon.video import decode
from view_extractors.base import resize

CODECS: dict[PictureCodec, str] = {"dct": "rgb_dct", "jpeg": "rgb"}
OTHER_VIEWS = ("flow", "mask", "pose")
BATCH = 4
#: of a training on a GPU
GPU_BATCH = 16

Decoder = Callable[[Sequence[memoryview], np.ndarray], None]
"""Decodes the frames of a clip into an array (T, H, W, 3)."""


def with_simplejpeg() -> Decoder:
    import simplejpeg

    def decoded(frames: Sequence[memoryview], out_THW3: np.ndarray) -> None:
        for data, out_HW3 in zip(frames, out_THW3, strict=True):
            simplejpeg.decode_jpeg(data, "RGB", buffer=out_HW3)

    return decoded


def with_imagecodecs() -> Decoder:
    import imagecodecs

    def decoded(frames: Sequence[memoryview], out_THW3: np.ndarray) -> None:
        for data, out_HW3 in zip(frames, out_THW3, strict=True):
            imagecodecs.jpeg8_decode(data, out=out_HW3)

    return decoded


def with_torchvision() -> Decoder:
    from torchvision.io import ImageReadMode, decode_jpeg

    def decoded(frames: Sequence[memoryview], out_THW3: np.ndarray) -> None:
        out = torch.from_numpy(out_THW3)
        for number, data in enumerate(frames):
            picture = decode_jpeg(torch.frombuffer(data, dtype=torch.uint8), mode=ImageReadMode.RGB)
            out[number] = picture.permute(1, 2, 0)

    return decoded


def with_pyav() -> Decoder:
    import av

    def decoded(frames: Sequence[memoryview], out_THW3: np.ndarray) -> None:
        context = av.CodecContext.create("mjpeg", "r")
        context.thread_count = 1
        for data, out_HW3 in zip(frames, out_THW3, strict=True):
            for frame in context.decode(av.Packet(data)):
                out_HW3[:] = frame.to_ndarray(format="rgb24")

    return decoded


OTHERS = {
    "simplejpeg": with_simplejpeg,
    "imagecodecs": with_imagecodecs,
    "torchvision": with_torchvision,
    "PyAV": with_pyav,
}


class DecodedBy(Shard):
    """A shard of rgb as ``jpeg`` that another decoder reads."""

    def __init__(self, path: Path, decoder: Decoder) -> None:
        super().__init__(path)
        self.decoder = decoder

    def read(self, video_id: str, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        info = self.videos[video_id]
        frames = self._frames(video_id, indices)
        out_THW3 = np.empty((len(frames), info.height, info.width, 3), np.uint8)
        self.decoder(frames, out_THW3)
        return out_THW3


def readers(shards: dict[str, Shard]) -> dict[str, Shard | ShardSet]:
    """What reads rgb, by the name of its row."""
    found: dict[str, Shard | ShardSet] = {
        "dct": ShardSet([shards["rgb_dct"].path]),
        "jpeg, OpenCV": ShardSet([shards["rgb"].path]),
    }
    for name, decoder in OTHERS.items():
        try:
            found[f"jpeg, {name}"] = DecodedBy(shards["rgb"].path, decoder())
        except (ImportError, RuntimeError) as error:  # torchvision of another torch raises the latter
            print(f"{name} does not take part: {error}")
    return found


def reading(shards: dict[str, Shard], clip: Clip, clips: int) -> dict[str, float]:
    """Median CPU milliseconds of a clip's rgb, by reader."""
    rows = readers(shards)
    rng = np.random.default_rng(0)
    lengths = {video.id: video.frames for video in shards["rgb"].videos.values() if video.usable}
    taken: dict[str, list[float]] = {name: [] for name in rows}
    for number in range(clips + 3):
        video_id = str(rng.choice(list(lengths)))
        indices = clip_frames(lengths[video_id], clip, generator=rng)
        for name, row in rows.items():
            began = time.process_time()
            row.read(video_id, indices)
            if number >= 3:  # the first ones open files and load compiled code
                taken[name].append(time.process_time() - began)
    return {name: 1000 * statistics.median(values) for name, values in taken.items()}


def loading(shards: dict[str, Shard], clip: Clip, batches: int) -> dict[str, float]:
    """Median CPU milliseconds per clip of all views, by codec of rgb."""

    def loaded(rgb: str) -> Iterator[Any]:
        sets = {"rgb": ShardSet([shards[rgb].path])}
        sets |= {view: ShardSet([shards[view].path]) for view in OTHER_VIEWS}
        videos = [row.id for row in shards["rgb"].videos.values() if row.usable]
        keys = [[(batch, (batch + i) % len(videos)) for i in range(BATCH)] for batch in range(batches + 1)]
        return iter(Loader(ClipDataset(sets, videos, clip, Augmentation()), keys))

    loaders = {codec: loaded(rgb) for codec, rgb in CODECS.items()}
    taken: dict[str, list[float]] = {codec: [] for codec in CODECS}
    for number in range(batches + 1):
        for codec, loader in loaders.items():
            began = time.process_time()
            next(loader)
            if number >= 1:
                taken[codec].append((time.process_time() - began) / BATCH)
    return {codec: 1000 * statistics.median(values) for codec, values in taken.items()}


def coding(shards: dict[str, Shard]) -> dict[str, float]:
    """Median CPU milliseconds to code a frame, by codec: some frames of every video."""
    taken: dict[str, list[float]] = {codec: [] for codec in CODECS}
    for row in shards["rgb"].videos.values():
        for picture in shards["rgb"].read(row.id, range(0, row.frames, 20)):
            for codec, times in taken.items():
                began = time.process_time()
                encode_as(codec, picture, RgbExtraction().jpeg_quality)
                times.append(time.process_time() - began)
    return {codec: 1000 * statistics.median(values) for codec, values in taken.items()}


def quality(shards: dict[str, Shard], videos: dict[str, Path]) -> dict[str, float]:
    """Mean PSNR of the videos' first frames, dB, by codec."""
    found: dict[str, list[float]] = {codec: [] for codec in CODECS}
    for video_id, path in videos.items():
        info = shards["rgb"].videos[video_id]
        source = resize(next(iter(decode(path))), (info.height, info.width)).astype(float)
        for codec, rgb in CODECS.items():
            error = np.mean((shards[rgb].read(video_id, [0])[0] - source) ** 2)
            found[codec].append(float(10 * np.log10(255**2 / error)))
    return {codec: statistics.mean(values) for codec, values in found.items()}


class Roofline(TorchDispatchMode):
    """Adds up the least time of all operations within it, and their arithmetic."""

    def __init__(self, flops_per_second: float, bytes_per_second: float) -> None:
        super().__init__()
        self.speeds = flops_per_second, bytes_per_second
        self.seconds = self.flops = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        count = flop_registry.get(func.overloadpacket)
        flops = count(*args, **(kwargs or {}), out_val=out) if count else 0
        moved = 0
        if not func.is_view:
            tensors = [x for x in tree_leaves((args, kwargs, out)) if isinstance(x, Tensor)]
            moved = sum({(x.data_ptr(), x.nbytes): x.nbytes for x in tensors}.values())
        self.flops += flops
        self.seconds += max(flops / self.speeds[0], moved / self.speeds[1])
        return out


def step(clip: Clip, batch: int, tflops: float, terabytes: float) -> tuple[float, float]:
    """The least seconds of a training step of some clips, and its arithmetic, GFLOP."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = make_trainer(clip, batch, {"amp": "bf16"}, Path(folder))
        data = next(iter(trainer.loader))
        trainer.model.train()
        trainer.train_step([data])  # the first makes the optimiser's tensors
        with Roofline(1e12 * tflops, 1e12 * terabytes) as roofline:
            trainer.train_step([data])
    return roofline.seconds, roofline.flops / 1e9


def needed(clip: Clip, tflops: float, terabytes: float) -> tuple[float, float]:
    """The most clips/s that a GPU could train on, and GFLOP per clip.

    A step of GPU_BATCH clips, from those of one and of two: the optimiser's part is the same in all.
    """
    (one, flops), (two, more_flops) = (step(clip, batch, tflops, terabytes) for batch in (1, 2))
    return GPU_BATCH / (one + (GPU_BATCH - 1) * (two - one)), more_flops - flops


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="three videos and fewer clips, under 90 s")
    parser.add_argument("--videos", type=Path, help="folder of videos (default: the real clips, or rendered)")
    parser.add_argument("--tflops", type=float, default=989, help="of the GPU, dense bfloat16")
    parser.add_argument("--terabytes", type=float, default=3.35, help="per second, of the GPU's memory")
    options = parser.parse_args()
    keep_freed_memory()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    clip = clip_of(quick=False)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        videos = sources(options.videos, options.quick, folder)
        shards = write_shards(videos, folder)
        frames = sum(row.frames for row in shards["rgb"].videos.values())
        size = {codec: (folder / f"{rgb}.h5").stat().st_size / frames for codec, rgb in CODECS.items()}
        psnr = quality(shards, videos)
        code = coding(shards)
        read = reading(shards, clip, 25 if options.quick else 200)
        load = loading(shards, clip, 10 if options.quick else 60)
    most, gflop = needed(clip, options.tflops, options.terabytes)
    for row, milliseconds in read.items():
        print(f"{row:<18} {milliseconds:6.2f} ms to read the rgb of a clip")
    for codec, milliseconds in load.items():
        print(
            f"{codec:<18} {milliseconds:6.2f} ms to load a clip, {1000 / milliseconds:.1f} clips/s and core; "
            f"{size[codec]:.0f} bytes a frame, {psnr[codec]:.2f} dB"
        )
    for codec, milliseconds in code.items():
        print(f"{codec:<18} {milliseconds:6.2f} ms to code a frame")
    cores = {codec: most * milliseconds / 1000 for codec, milliseconds in load.items()}
    print(
        f"{gflop:.0f} GFLOP a clip: a GPU trains on at most {most:.0f} clips/s (predicted), which "
        f"{cores['dct']:.1f} cores load with dct and {cores['jpeg']:.1f} with jpeg"
    )
    print(
        json.dumps(
            {
                "ratio": round(load["jpeg"] / load["dct"], 3),
                "read_milliseconds": {row: round(value, 2) for row, value in read.items()},
                "load_milliseconds": {codec: round(value, 2) for codec, value in load.items()},
                "code_milliseconds": {codec: round(value, 2) for codec, value in code.items()},
                "bytes_per_frame": {codec: round(value) for codec, value in size.items()},
                "psnr": {codec: round(value, 2) for codec, value in psnr.items()},
                "gflop_per_clip": round(gflop),
                "most_clips_per_second": round(most),
                "cores": {codec: round(value, 1) for codec, value in cores.items()},
            }
        )
    )


if __name__ == "__main__":
    main()
