"""Frames as networks take them: scaled, or cut out.

On a CPU this is OpenCV's and Pillow's work. On a GPU the frames go there once, as bytes, and torch scales
them with the same filters; the results differ by rounding.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from view_extractors.base import resize
from view_extractors.networks.devices import is_gpu, upload

if TYPE_CHECKING:
    import torch

#: OpenCV leaves out parts of pixels that are smaller
_LEAST_PART = 1e-3


def scaled(frames: Sequence[np.ndarray], size: tuple[int, int], device: torch.device) -> torch.Tensor:
    """RGB frames of one size, scaled as :func:`view_extractors.base.resize` does it.

    Returns:
        ``float32`` (B, 3, h, w) on the device: whole numbers, 0 .. 255.
    """
    if not is_gpu(device):
        return upload(np.stack([resize(frame, size) for frame in frames]), device).float()
    return resized(upload(frames, device), size, by_area=size[0] < frames[0].shape[0])


def scaled_by_pillow(
    frames: Sequence[np.ndarray], size: tuple[int, int], device: torch.device, pillow: Any
) -> torch.Tensor:
    """RGB frames of one size, scaled as Pillow's BILINEAR does it: over a wider area when they shrink.

    Args:
        frames: ``uint8`` (H, W, 3).
        size: (h, w) of the result.
        device: where it is wanted.
        pillow: the module ``PIL.Image``.

    Returns:
        ``float32`` (B, 3, h, w) on the device: whole numbers, 0 .. 255.
    """
    import torch

    if is_gpu(device):
        x_BCHW = upload(frames, device).float()
        # As Pillow does it: first the rows, rounded to grey levels, and then the columns.
        for between in ((x_BCHW.shape[2], size[1]), size):
            x_BCHW = _rounded(
                torch.nn.functional.interpolate(x_BCHW, between, mode="bilinear", antialias=True)
            )
        return x_BCHW
    pictures = (pillow.fromarray(np.ascontiguousarray(frame)) for frame in frames)
    return upload(
        np.stack([np.asarray(picture.resize(size[::-1], pillow.BILINEAR)) for picture in pictures]), device
    ).float()


def resized(pixels_BCHW: torch.Tensor, size: tuple[int, int], by_area: bool) -> torch.Tensor:
    """Pictures scaled with OpenCV's INTER_AREA or else INTER_LINEAR, where they are.

    Args:
        pixels_BCHW: ``uint8``.
        size: (h, w) of the result.
        by_area: INTER_AREA, which is for pictures that shrink.

    Returns:
        ``float32`` (B, C, h, w): whole numbers, 0 .. 255.
    """
    x_BCHW = pixels_BCHW.float()
    if x_BCHW.shape[2:] == size:
        return x_BCHW
    rows, columns = (
        _weights_on(source, target, by_area, x_BCHW.device)
        for source, target in zip(x_BCHW.shape[2:], size, strict=True)
    )
    return _rounded(rows @ x_BCHW @ columns.T)


def cut_out(
    pixels_BCHW: torch.Tensor, frame_N: np.ndarray, to_frame_N23: np.ndarray, size: tuple[int, int]
) -> torch.Tensor:
    """Crops of frames by affine maps, bilinear, and black outside the frame, where the frames are.

    Args:
        pixels_BCHW: ``uint8`` frames.
        frame_N: the frame of each crop.
        to_frame_N23: from pixel indices (x, y) of the crop to those of the frame.
        size: (h, w) of the crops.

    Returns:
        ``float32`` (N, C, h, w): whole numbers, 0 .. 255.
    """
    import torch

    device, (height, width) = pixels_BCHW.device, pixels_BCHW.shape[2:]
    maps_N23 = torch.from_numpy(np.asarray(to_frame_N23, np.float32)).to(device)
    first_N11 = torch.from_numpy(np.asarray(frame_N, np.int64)).to(device)[:, None, None] * (height * width)
    row_H1, column_W = torch.arange(size[0], device=device)[:, None], torch.arange(size[1], device=device)
    x_NHW, y_NHW = (
        m_N3[:, 0, None, None] * column_W + m_N3[:, 1, None, None] * row_H1 + m_N3[:, 2, None, None]
        for m_N3 in maps_N23.unbind(1)
    )
    # One pixel per row, as they are in memory.
    pixels_PC = pixels_BCHW.permute(0, 2, 3, 1).reshape(-1, pixels_BCHW.shape[1])
    result_NHWC = pixels_PC.new_zeros((*x_NHW.shape, pixels_PC.shape[1]), dtype=torch.float32)
    left_NHW, top_NHW = x_NHW.floor(), y_NHW.floor()
    for column_NHW, row_NHW in (
        (left_NHW, top_NHW),
        (left_NHW + 1, top_NHW),
        (left_NHW, top_NHW + 1),
        (left_NHW + 1, top_NHW + 1),
    ):
        inside_NHW = (column_NHW >= 0) & (column_NHW < width) & (row_NHW >= 0) & (row_NHW < height)
        weight_NHW = (1 - (x_NHW - column_NHW).abs()) * (1 - (y_NHW - row_NHW).abs()) * inside_NHW
        place_NHW = row_NHW.clamp(0, height - 1).long() * width + column_NHW.clamp(0, width - 1).long()
        result_NHWC += weight_NHW[..., None] * pixels_PC[first_N11 + place_NHW]
    return _rounded(result_NHWC).permute(0, 3, 1, 2)


def _rounded(x: torch.Tensor) -> torch.Tensor:
    """Grey levels; halves go up, as in OpenCV and Pillow."""
    return (x + 0.5).floor()


@functools.lru_cache(maxsize=16)
def _weights_on(source: int, target: int, by_area: bool, device: torch.device) -> torch.Tensor:
    """:func:`resize_weights` on the device."""
    import torch

    return torch.from_numpy(resize_weights(source, target, by_area)).to(device)


@functools.lru_cache(maxsize=16)
def resize_weights(source: int, target: int, by_area: bool) -> np.ndarray:
    """Weights of ``source`` pixels in each of ``target`` pixels, as OpenCV resizes.

    Args:
        source: pixels along one side.
        target: likewise, of the result.
        by_area: INTER_AREA, else INTER_LINEAR.

    Returns:
        ``float32`` (target, source).
    """
    scale = source / target
    pixel = np.arange(source)
    if by_area:
        begin = np.arange(target)[:, None] * scale
        end = np.minimum(begin + scale, source)
        part = np.clip(np.minimum(end, pixel + 1) - np.maximum(begin, pixel), 0, 1)
        result: np.ndarray = (np.where(part > _LEAST_PART, part, 0) / (end - begin)).astype(np.float32)
        return result
    centre = np.clip((np.arange(target) + 0.5) * scale - 0.5, 0, source - 1)[:, None]
    near: np.ndarray = np.clip(1 - np.abs(centre - pixel), 0, None).astype(np.float32)
    return near
