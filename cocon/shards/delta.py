"""The codec ``delta``: lossless, and read several times faster than JPEG.

Every row of the picture (its pixels with their channels side by side) is stored as the difference from the
row above, modulo 256; the differences are packed by LZ4. Flow, masks and other smooth pictures become about
as small as JPEG of quality 95 makes them, photographs do not.
"""

from __future__ import annotations

from collections.abc import Sequence

import lz4.block
import numpy as np

from cocon.shards.picture import HEADER, Header

KIND = ord("D")

#: LZ4-HC's effort: 9 saves 8 % more of a flow field in four times the time, reading is the same
_LEVEL = 6
_decompress = lz4.block.decompress  # looked up once: small frames take a microsecond


def encode(frame_HWC: np.ndarray) -> bytes:
    """Encode one ``uint8`` frame (H, W, C)."""
    if frame_HWC.dtype != np.uint8 or frame_HWC.ndim != 3:
        raise ValueError(f"expected uint8 (H, W, C), got {frame_HWC.dtype} {frame_HWC.shape}")
    height, width, channels = frame_HWC.shape
    rows = frame_HWC.reshape(height, -1)
    difference = rows.copy()
    difference[1:] -= rows[:-1]
    packed: bytes = lz4.block.compress(
        difference, mode="high_compression", compression=_LEVEL, store_size=False
    )
    return Header(KIND, channels, 0, 0, height, width).to_bytes() + packed


def decode_into(frames: Sequence[bytes | memoryview], out_THWC: np.ndarray) -> None:
    """Decode frames to a C-contiguous array of their size; raises ValueError for damaged data."""
    from cocon.shards.kernels import integrate

    # Frame by frame, so that what one step writes is still in the cache when the next one reads it.
    for data, rows_HX in zip(frames, out_THWC.reshape(*out_THWC.shape[:2], -1), strict=True):
        integrate(np.frombuffer(unpack(data, HEADER.size, rows_HX.size), np.uint8), rows_HX)


def unpack(data: bytes | memoryview, position: int, size: int) -> bytes:
    """The ``size`` bytes that the LZ4 block behind ``position`` holds.

    Raises:
        ValueError: when it is damaged or holds another number of bytes.
    """
    try:
        unpacked: bytes = _decompress(data[position:], size)
    except lz4.block.LZ4BlockError as error:
        raise ValueError("the LZ4 block is damaged") from error
    if len(unpacked) != size:
        raise ValueError(f"the LZ4 block holds {len(unpacked)} bytes, not {size}")
    return unpacked
