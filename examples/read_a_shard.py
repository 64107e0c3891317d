"""Reads the pictures of a shard: with cocon, and with h5py alone.

python examples/read_a_shard.py results/demo/shards/flow/00000.h5
"""

import sys
from collections.abc import Iterator
from itertools import accumulate, pairwise
from pathlib import Path

import cv2
import h5py
import lz4.block
import numpy as np

# --8<-- [start:cocon]
from cocon.shards import Shard


def with_cocon(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Of each video its id and its frames, uint8 (T, H, W, C)."""
    shard = Shard(path)
    for video, info in shard.videos.items():
        if info.usable:
            yield video, shard.read(video, range(info.frames))
        else:
            print(video, "was skipped:", info.reason)


# --8<-- [end:cocon]
# --8<-- [start:h5py]
def with_h5py(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """The same, for the codecs in DECODERS; checksums are not verified."""
    with h5py.File(path) as file:
        decode = DECODERS[file.attrs["codec"].decode()]
        offsets, ends = file["frames/offsets"][:], accumulate(file["videos/frames"], initial=0)
        for video, (first, end) in zip(file["videos/id"], pairwise(ends), strict=True):
            if first < end:  # a skipped video has no frames
                places = pairwise(offsets[first : end + 1])
                yield video.decode(), np.stack([decode(file["frames/data"][a:b]) for a, b in places])


def delta(data: np.ndarray) -> np.ndarray:
    """A frame of flow or of a mask."""
    channels, (height, width) = int(data[1]), data[4:8].view("<u2").tolist()
    rows = lz4.block.decompress(data[8:], uncompressed_size=height * width * channels)
    differences = np.frombuffer(rows, np.uint8).reshape(height, -1)
    return differences.cumsum(axis=0, dtype=np.uint8).reshape(height, width, channels)


def jpeg(data: np.ndarray) -> np.ndarray:
    """A frame of rgb."""
    return cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)


DECODERS = {"delta": delta, "jpeg": jpeg}
# --8<-- [end:h5py]

if __name__ == "__main__":
    path = Path(sys.argv[1])
    for video, frames in with_cocon(path):
        print(video, frames.shape, f"mean {frames.mean():.1f}")
    if (codec := Shard(path).codec) in DECODERS:
        print("with h5py alone:")
        for video, frames in with_h5py(path):
            print(video, frames.shape, f"mean {frames.mean():.1f}")
    else:
        print(f"docs/shard_format.md describes {codec}")
