"""Codecs: frames to bytes and back. The first byte of a coded picture identifies its codec.

``jpeg``: most compatible. ``dct``: JPEG's transform without JPEG's slow entropy coding. ``delta``: lossless.
``docs/shard_format.md`` specifies them.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Literal

import numpy as np

from cocon.shards import dct, delta
from cocon.shards.picture import HEADER, Header

PictureCodec = Literal["jpeg", "dct", "delta"]

_JPEG = 0xFF
_MODULES: dict[int, ModuleType] = {dct.KIND: dct, delta.KIND: delta}
_KINDS: dict[PictureCodec, int] = {"jpeg": _JPEG, "dct": dct.KIND, "delta": delta.KIND}


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


def encode_as(codec: PictureCodec, frame_HWC: np.ndarray, quality: int) -> bytes:
    """Encode one ``uint8`` frame (H, W, C).

    Args:
        codec: which codec.
        frame_HWC: the frame; three channels for ``dct``.
        quality: JPEG's scale, 1 to 100; without meaning for ``delta``.
    """
    if codec == "delta":
        return delta.encode(frame_HWC)
    return dct.encode(frame_HWC, quality) if codec == "dct" else encode(frame_HWC, quality)


def is_of(codec: PictureCodec, data: bytes) -> bool:
    """Whether ``data`` begins as this codec's frames begin."""
    return len(data) > 0 and data[0] == _KINDS[codec]


def decode(data: bytes, channels: int) -> np.ndarray:
    """Decode a frame of any codec; returns ``uint8`` (H, W, channels).

    Raises:
        ValueError: when ``data`` is no such frame.
    """
    if len(data) > 0 and data[0] == _JPEG:
        return _decode_jpeg(data, channels)
    header = Header.of(data)
    out_HWC = np.empty((header.height, header.width, channels), np.uint8)
    decode_into([data], out_HWC[None])
    return out_HWC


def decode_into(frames: Sequence[bytes | memoryview], out_THWC: np.ndarray) -> None:
    """Decode frames of one video into an array: ``uint8`` (T, H, W, C), C-contiguous.

    Raises:
        ValueError: when one is not a coded frame, or has another size or coding than the others.
    """
    if len(frames) == 0:
        return
    heads = {bytes(data[: HEADER.size]) for data in frames}
    if len({head[:1] for head in heads}) > 1 or b"" in heads:
        raise ValueError("not a coded picture")
    module = _MODULES.get(frames[0][0])
    if module is None:
        for data, out_HWC in zip(frames, out_THWC, strict=True):
            picture = _decode_jpeg(data, out_HWC.shape[2])
            if picture.shape != out_HWC.shape:
                raise ValueError(f"a picture of size {picture.shape}, not {out_HWC.shape}")
            out_HWC[:] = picture
        return
    Header.of(frames[0]).check(out_THWC.shape[1:])
    if len(heads) > 1:
        raise ValueError("its frames differ in size or quality")
    module.decode_into(frames, out_THWC)


def _decode_jpeg(data: bytes | memoryview, channels: int) -> np.ndarray:
    import cv2

    flag = cv2.IMREAD_COLOR_RGB if channels == 3 else cv2.IMREAD_GRAYSCALE
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flag | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise ValueError("not a JPEG image") from error
    if image is None:
        raise ValueError("not a JPEG image")
    if channels == 3:
        return np.asarray(image)
    if image.shape[0] % channels:
        raise ValueError(f"a picture of {image.shape[0]} rows does not hold {channels} channels")
    stacked_CHW = image.reshape(channels, -1, image.shape[1])
    return np.ascontiguousarray(stacked_CHW.transpose(1, 2, 0))
