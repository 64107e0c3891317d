"""Small videos for the tests of the extractors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from cocon.errors import AssetError

Writer = Callable[..., Path]


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A smooth random grey picture, ``uint8`` (height, width)."""
    noise = np.random.default_rng(seed).normal(size=(height, width)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2)
    return cv2.normalize(smooth, None, 10, 245, cv2.NORM_MINMAX).astype(np.uint8)


@pytest.fixture(scope="session")
def moving() -> Callable[..., list[np.ndarray]]:
    """Makes frames that show a window moving over a texture."""

    def make(count: int, height: int = 48, width: int = 64, step: int = 1) -> list[np.ndarray]:
        wide = texture(height, width + step * count)
        colour = np.stack([wide, 255 - wide, wide // 2], axis=-1)
        return [np.ascontiguousarray(colour[:, step * i : step * i + width]) for i in range(count)]

    return make


@pytest.fixture(scope="session")
def write_video() -> Writer:
    """Encodes RGB frames: ``write_video(path, frames, codec=..., pixels=..., **container_options)``."""

    def write(
        path: Path,
        frames: Sequence[np.ndarray],
        codec: str = "libx264",
        pixels: str = "yuv420p",
        rate: int = 10,
        **options: str,
    ) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        # FFmpeg would take a name with a colon for a protocol.
        with av.open(f"file:{path}", "w", options=options) as container:
            stream = container.add_stream(codec, rate=Fraction(rate))
            stream.height, stream.width = frames[0].shape[:2]
            stream.pix_fmt = pixels
            stream.thread_count = 1
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode(None))
        return path

    return write


@pytest.fixture(scope="session")
def movenet_weights() -> None:
    """Skips when the weights of MoveNet and of the masks around its persons cannot be had."""
    from cocon import assets

    try:
        for name in ("movenet", "selfie"):
            assets.fetch(name)
    except AssetError as error:
        pytest.skip(f"no MoveNet: {error}")


@pytest.fixture(scope="session")
def blazepose_weights() -> None:
    """Skips when the weights of BlazePose cannot be had."""
    from view_extractors.base import Resources
    from view_extractors.networks.blazepose import BlazePose

    try:
        BlazePose(None, Resources())
    except AssetError as error:
        pytest.skip(f"no BlazePose: {error}")
