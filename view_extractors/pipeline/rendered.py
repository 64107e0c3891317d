"""A rendered video for measurements, if there is no other."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np


def write_sample(path: Path, frames: int, size: tuple[int, int], codec: str) -> Path:
    """Encode a camera that pans over a coloured texture with as much detail as natural pictures.

    Args:
        path: of the video.
        frames: their number.
        size: (height, width), px; made even, as video codecs need it.
        codec: FFmpeg's name of an encoder.
    """
    height, width = (side + side % 2 for side in size)
    wall = _texture(height, width + 2 * frames)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=Fraction(25))
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        stream.bit_rate = 1_000_000
        for i in range(frames):
            picture = np.ascontiguousarray(wall[:, 2 * i : 2 * i + width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def _texture(height: int, width: int) -> np.ndarray:
    """``uint8`` (height, width, 3): noise of all scales, the coarser the stronger.

    Stored at 150 px, a frame takes 10 kB, as the mean of real clips does.
    """
    rng = np.random.default_rng(0)
    texture = np.zeros((height, width, 3), np.float32)
    for octave in range(8):
        cells = max(1, height >> octave), max(1, width >> octave)
        noise = rng.normal(size=(*cells, 3)).astype(np.float32)
        noise += 2 * noise.mean(axis=2, keepdims=True)  # most of it is brightness
        texture += 1.5**octave * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    result: np.ndarray = np.clip(128 + 60 * (texture - texture.mean()) / texture.std(), 0, 255).astype(
        np.uint8
    )
    return result
