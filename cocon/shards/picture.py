"""The 8-byte header of every frame of the codecs ``dct`` and ``delta``."""

from __future__ import annotations

import struct
from typing import NamedTuple, Self

HEADER = struct.Struct("<4B2H")


class Header(NamedTuple):
    """The first bytes of a frame; ``kind`` is the codec, ``quality`` is 0 where it has no meaning."""

    kind: int
    channels: int
    quality: int
    reserved: int
    height: int
    width: int

    @classmethod
    def of(cls, data: bytes | memoryview) -> Self:
        """Read the header of a coded frame.

        Raises:
            ValueError: when there are fewer than eight bytes.
        """
        if len(data) < HEADER.size:
            raise ValueError("the frame is truncated")
        return cls(*HEADER.unpack_from(data))

    def to_bytes(self) -> bytes:
        """The eight bytes."""
        return HEADER.pack(*self)

    def check(self, shape_HWC: tuple[int, ...]) -> None:
        """Raise ValueError unless the frame has this shape."""
        if (self.height, self.width, self.channels) != shape_HWC:
            raise ValueError(f"a picture of size {(self.height, self.width, self.channels)}, not {shape_HWC}")
