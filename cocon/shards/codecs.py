"""Frames to bytes and back: JPEG for pictures of any number of channels, Gaussians for keypoints."""

from __future__ import annotations

import numpy as np


def encode(frame_HWC: np.ndarray, quality: int) -> bytes:
    """Encode one ``uint8`` frame (H, W, C) as JPEG.

    Three channels become a colour image, one a grey image; any other number of channels is stacked from
    top to bottom in one grey image of size (C * H, W).
    """
    import cv2

    if frame_HWC.dtype != np.uint8 or frame_HWC.ndim != 3:
        raise ValueError(f"expected uint8 (H, W, C), got {frame_HWC.dtype} {frame_HWC.shape}")
    if frame_HWC.shape[2] == 3:
        image = frame_HWC[:, :, ::-1]
    else:
        image = frame_HWC.transpose(2, 0, 1).reshape(-1, frame_HWC.shape[1])
    ok, data = cv2.imencode(".jpg", np.ascontiguousarray(image), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not ok:
        raise ValueError(f"JPEG cannot hold a frame of size {frame_HWC.shape}")
    return bytes(data.tobytes())


def decode(data: bytes | memoryview | np.ndarray, channels: int) -> np.ndarray:
    """Decode what :func:`encode` wrote; returns ``uint8`` (H, W, channels)."""
    import cv2

    flag = cv2.IMREAD_COLOR if channels == 3 else cv2.IMREAD_GRAYSCALE
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    if image is None:
        raise ValueError("not a JPEG image")
    if channels == 3:
        return np.ascontiguousarray(image[:, :, ::-1])
    stacked_CHW = image.reshape(channels, -1, image.shape[1])
    return np.ascontiguousarray(stacked_CHW.transpose(1, 2, 0))


def render_heatmaps(persons_PJ3: np.ndarray, height: int, width: int, sigma: float) -> np.ndarray:
    """Draw keypoints as Gaussians of ``sigma`` pixels; returns ``uint8`` (height, width, J).

    A pixel's value is the largest over the persons of score * exp(-d^2 / 2 sigma^2), d being its distance
    from the keypoint; pixel centres lie at half-integers. No person gives an empty map.
    """
    persons = np.asarray(persons_PJ3, np.float32)
    x_PJ1 = persons[..., 0:1] * width - 0.5
    y_PJ1 = persons[..., 1:2] * height - 0.5
    scale = np.float32(-0.5 / sigma**2)
    column_PJW = np.exp(scale * (np.arange(width, dtype=np.float32) - x_PJ1) ** 2)
    row_PJH = np.exp(scale * (np.arange(height, dtype=np.float32) - y_PJ1) ** 2)
    row_PJH *= 255.0 * np.clip(persons[..., 2:3], 0, 1)
    heat_PJHW = row_PJH[..., :, None] * column_PJW[..., None, :]
    heat_JHW = heat_PJHW.max(axis=0, initial=0.0)
    return np.ascontiguousarray((heat_JHW + 0.5).astype(np.uint8).transpose(1, 2, 0))
