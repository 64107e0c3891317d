"""Crops: where a clip is cut out of its frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from cocon.config.schema import Clip
from cocon.errors import ConfigError
from cocon.views import VIEWS


@dataclass(frozen=True)
class Crop:
    """A rectangle of ``height`` x ``width`` px with its upper left corner at (``top``, ``left``)."""

    top: int
    left: int
    height: int
    width: int

    def of(self, frames_THWC: np.ndarray) -> np.ndarray:
        """The view of ``frames_THWC`` inside the rectangle, (T, height, width, C)."""
        return frames_THWC[:, self.top : self.top + self.height, self.left : self.left + self.width]


def crop_size(clip: Clip, view: str) -> int:
    """Side of the crop of a view, px."""
    crops: dict[str, int] = dict(clip.crop.items())
    return crops[view]


def crop_at(height: int, width: int, size: int, position: Sequence[float] | np.ndarray) -> Crop:
    """The square crop at a relative ``position``: (0, 0) is the upper left one, (1, 1) the lower right one.

    Raises:
        ConfigError: when the frames are smaller than the crop.
    """
    if min(height, width) < size:
        raise ConfigError(
            f"stored frames of {width} x {height} px are smaller than the crop of {size} px",
            "lower clip.crop of this view, or increase extraction.<view>.short_side",
        )
    return _placed(height, width, (size, size), position)


def resized_crop_at(
    height: int, width: int, position: Sequence[float] | np.ndarray, area: float, aspect: float
) -> Crop:
    """The crop of a part of the frame's area and with an aspect width / height, as far as the frame allows.

    It is meant to be scaled to a square, see :func:`scaled`.
    """
    pixels = area * height * width
    crop_height = min(height, max(1, round(math.sqrt(pixels / aspect))))
    crop_width = min(width, max(1, round(math.sqrt(pixels * aspect))))
    return _placed(height, width, (crop_height, crop_width), position)


def _placed(height: int, width: int, size: tuple[int, int], position: Sequence[float] | np.ndarray) -> Crop:
    rooms = height - size[0], width - size[1]
    top, left = (min(int(part * (room + 1)), room) for part, room in zip(position, rooms, strict=True))
    return Crop(top, left, *size)


def centre_crop(height: int, width: int, size: int) -> Crop:
    """The square crop in the middle."""
    crop_at(height, width, size, (0.0, 0.0))
    return Crop((height - size) // 2, (width - size) // 2, size, size)


def five_crops(height: int, width: int, size: int) -> list[Crop]:
    """The square crops in the middle and in the corners."""
    corners = [crop_at(height, width, size, (top, left)) for top in (0.0, 1.0) for left in (0.0, 1.0)]
    return [centre_crop(height, width, size), *corners]


def scaled(frames_THWC: np.ndarray, size: int) -> np.ndarray:
    """``uint8`` frames as squares of ``size`` px (bilinear, averaging when they shrink)."""
    if frames_THWC.shape[1:3] == (size, size):
        return frames_THWC
    x_TCHW = torch.from_numpy(np.ascontiguousarray(frames_THWC)).permute(0, 3, 1, 2)
    result: np.ndarray = (
        F.interpolate(x_TCHW, (size, size), mode="bilinear", antialias=True).permute(0, 2, 3, 1).numpy()
    )
    return result


def rescale_vectors(frames_THWC: np.ndarray, view: str, crop: Crop, size: int) -> np.ndarray:
    """The stored vectors of a crop that was scaled to ``size`` px: they stretch as the picture does."""
    factors = np.array([size / crop.width, size / crop.height], np.float32)
    zero = VIEWS[view].zero
    values = (frames_THWC.astype(np.float32) - zero) * factors + zero
    return values.round().clip(0, 255).astype(np.uint8)


def content_map(frames_THWC: np.ndarray, view: str) -> np.ndarray:
    """Amount of content at each pixel, (H, W): |flow| or intensity, averaged over the clip."""
    if zero := VIEWS[view].zero:
        frames_THWC = np.where(frames_THWC < zero, zero - frames_THWC, frames_THWC - zero)
    total_HW = frames_THWC.sum(axis=0, dtype=np.uint32).sum(axis=-1)
    mean_HW: np.ndarray = total_HW / np.float64(frames_THWC[:, 0, 0].size)
    return mean_HW


def best_crop(frames_THWC: np.ndarray, view: str, crops: list[Crop]) -> Crop:
    """The crop with the most content per pixel (the first among equals): for views that are mostly empty."""
    if len(crops) == 1:
        return crops[0]
    content_1HW = content_map(frames_THWC, view)[None]
    return crops[int(np.argmax([crop.of(content_1HW).mean() for crop in crops]))]
