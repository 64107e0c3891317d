"""Frames to bytes and back: JPEG for pictures of any number of channels."""

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
