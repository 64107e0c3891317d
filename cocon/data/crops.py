"""Where a clip is cut out of its frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cocon.config.schema import Clip
from cocon.errors import ConfigError
from cocon.views import FLOW_ZERO


@dataclass(frozen=True)
class Crop:
    """A square of ``size`` pixels with its upper left corner at (``top``, ``left``)."""

    top: int
    left: int
    size: int

    def of(self, frames_THWC: np.ndarray) -> np.ndarray:
        """The view of ``frames_THWC`` inside the square, (T, size, size, C)."""
        return frames_THWC[:, self.top : self.top + self.size, self.left : self.left + self.size]


def crop_size(clip: Clip, view: str) -> int:
    """Side of the crop of a view, px.

    Raises:
        ConfigError: when the settings name no crop for it.
    """
    for name, size in clip.crop.items():
        if name == view:
            return size
    raise ConfigError(f"clip.crop has no size for the view '{view}'", f"add clip.crop.{view}, in px")


def crop_at(height: int, width: int, size: int, position: tuple[float, float]) -> Crop:
    """The crop at a relative ``position``: (0, 0) is the upper left one, (1, 1) the lower right one.

    Raises:
        ConfigError: when the frames are smaller than the crop.
    """
    if min(height, width) < size:
        raise ConfigError(
            f"stored frames of {width} x {height} px are smaller than the crop of {size} px",
            "lower clip.crop of this view, or raise its extraction.<view>.short_side",
        )
    top, left = (
        min(int(fraction * (room + 1)), room)
        for fraction, room in zip(position, (height - size, width - size), strict=True)
    )
    return Crop(top, left, size)


def centre_crop(height: int, width: int, size: int) -> Crop:
    """The crop in the middle."""
    crop = crop_at(height, width, size, (0.0, 0.0))
    return Crop((height - size) // 2, (width - size) // 2, crop.size)


def content_map(frames_THWC: np.ndarray, view: str) -> np.ndarray:
    """How much there is to see at each pixel, (H, W): |flow| or intensity, averaged over the clip."""
    if view == "flow":
        frames_THWC = np.where(frames_THWC < FLOW_ZERO, FLOW_ZERO - frames_THWC, frames_THWC - FLOW_ZERO)
    return frames_THWC.sum(axis=0, dtype=np.uint32).sum(axis=-1) / np.float64(frames_THWC[:, 0, 0].size)


def best_crop(frames_THWC: np.ndarray, view: str, crops: list[Crop]) -> Crop:
    """The crop with the most content (the first among equals): for views that are mostly background."""
    if len(crops) == 1:
        return crops[0]
    content_HW = content_map(frames_THWC, view)
    scores = [content_HW[c.top : c.top + c.size, c.left : c.left + c.size].sum() for c in crops]
    return crops[int(np.argmax(scores))]
