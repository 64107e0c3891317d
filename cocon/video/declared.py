"""What a file declares of its video stream, and what of that could not be read."""

from __future__ import annotations

import contextlib
import struct
from dataclasses import dataclass
from typing import Any, Self

import av

#: containers whose index lists every coded frame
_INDEXED = ("mov", "avi")
#: frames of tolerance when a file declares nothing but its length
_TOLERANCE = 2
_RIFF = struct.Struct("<4sI")
#: bytes at the beginning of a file that :meth:`Declared.of` needs
HEAD_BYTES = _RIFF.size


@dataclass
class Read:
    """The coded frames that were read so far.

    Attributes:
        packets: their number.
        hidden: those of them that an edit list hides: they are decoded, because others are predicted from
            them, and not shown.
        end: when the last one ends, s.
        slots: where the last one stands in decoding order, counted in units of the stream's times.
    """

    packets: int = 0
    hidden: int = 0
    end: float = 0.0
    slots: int = 0

    def add(self, packet: Any, time_base: Any) -> None:
        """Count one more frame."""
        self.packets += 1
        self.hidden += packet.is_discard
        for start in (packet.pts, packet.dts):
            self.end = max(self.end, float(((start or 0) + (packet.duration or 0)) * time_base))
        if packet.dts is not None:
            self.slots = max(self.slots, packet.dts + 1)


@dataclass(frozen=True)
class Declared:
    """What the file declares.

    AVI has no times: its frames are in slots of equal length. A slot without bytes repeats the last frame;
    the header counts it, FFmpeg's index does not list it. The index stands at the end of the file, so a file
    that is cut off has lost it.

    Attributes:
        rate: frames per second.
        coded: coded frames that the index lists, or that are known of it; 0: there is none.
        hidden: those of them that an edit list hides.
        seconds: where the stream ends; 0: unknown.
        slots: of an AVI file, by its header.
        listed_slots: of an AVI file, up to the last one that the index lists.
        slot_seconds: length of a slot.
        is_cut: an AVI file that is shorter than its header says.
    """

    rate: float
    coded: int
    hidden: int
    seconds: float
    slots: int = 0
    listed_slots: int = 0
    slot_seconds: float = 0.0
    is_cut: bool = False

    @classmethod
    def of(cls, container: Any, stream: Any, rate: float, head: bytes) -> Self:
        """Read the declarations of an open container whose file begins with ``head``."""
        seconds = _seconds(container, stream)
        if not container.format.name.startswith(_INDEXED):
            return cls(rate, 0, 0, seconds)
        entries = [entry for entry in stream.index_entries if entry.size]
        hidden = sum(entry.is_discard for entry in entries)
        if container.format.name != "avi":
            return cls(rate, len(entries), hidden, seconds)
        last = entries[-1].timestamp + 1 if entries else 0
        magic, length = _RIFF.unpack(head)
        is_cut = magic == b"RIFF" and _RIFF.size + length > container.size
        tick = float(stream.time_base)
        return cls(rate, len(entries), hidden, seconds, stream.frames, last, tick, is_cut)

    @property
    def counts_frames(self) -> bool:
        """Whether the number of frames reveals missing ones; otherwise times are used."""
        return bool(self.coded or self.slots)

    @property
    def frames(self) -> int:
        """The estimated number of frames that will be shown; 0: the file declares nothing."""
        if self.is_cut:
            return max(self.slots, self.coded)
        return self.coded - self.hidden or self.slots or round(self.seconds * self.rate)

    def shortfall(self, read: Read) -> str:
        """What is missing after all readable frames were read; empty: nothing, according to the file."""
        if read.packets < self.coded:
            return f"only {read.packets} of {self.coded} coded frames can be read"
        if self._lacks_slots(read):
            return _ends_early(read.slots * self.slot_seconds, self.slots * self.slot_seconds)
        missing = self.seconds - read.end
        if not self.counts_frames and self.rate and missing > _TOLERANCE / self.rate:
            return _ends_early(read.end, self.seconds)
        return ""

    def _lacks_slots(self, read: Read) -> bool:
        """Whether an AVI file ends early, and not because its last slots are empty.

        Frames behind the last one listed are read when the index is gone or not whole.
        """
        return read.slots < self.slots and (self.is_cut or read.slots > self.listed_slots)


def _ends_early(end: float, seconds: float) -> str:
    return f"ends after {end:.2f} of {seconds:.2f} s"


def _seconds(container: Any, stream: Any) -> float:
    if stream.duration:
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base)
    hours, _, rest = stream.metadata.get("DURATION", "").partition(":")  # Matroska
    minutes, _, seconds = rest.partition(":")
    with contextlib.suppress(ValueError):
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    if container.duration and len(container.streams) == 1:
        result: float = container.duration / av.time_base
        return result
    return 0.0
