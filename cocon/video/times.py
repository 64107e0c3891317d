"""When frames are shown: at a constant rate or not, and whether some are missing in between."""

from __future__ import annotations

from dataclasses import dataclass

#: frames; cameras and cutters drop one or two, damage takes more
_HOLE = 3.5
#: irregular intervals per regular one that a stream of constant rate may have
_IRREGULAR = 0.05


@dataclass
class Times:
    """Checks whether the times of a stream's frames are regular, and whether a gap makes them irregular.

    Attributes:
        rate: frames per second that the file declares.
        gap: where the first gap ends, seconds.
    """

    rate: float
    gap: float = 0.0
    _first: float | None = None
    _last: float = 0.0
    _ordered: bool = True
    _regular: int = 0
    _irregular: int = 0
    _missing: int = 0

    def add(self, time: float) -> None:
        """The next frame is shown at this time (s)."""
        if self._first is None:
            self._first = self._last = time
            return
        steps = (time - self._last) * self.rate
        self._ordered &= time > self._last
        self._last = time
        if abs(steps - 1) < 0.5:
            self._regular += 1
        else:
            self._irregular += 1
            if steps > _HOLE:
                self.gap = self.gap or time
                self._missing += round(steps) - 1

    @property
    def is_regular(self) -> bool:
        """Whether almost every frame follows the one before at the declared rate."""
        return self._irregular <= _IRREGULAR * self._regular

    @property
    def missing(self) -> int:
        """Frames that would fill the gaps of a stream that is regular otherwise."""
        return self._missing if self.is_regular else 0

    @property
    def average(self) -> float:
        """Frames per second of times that are irregular but in order; else 0."""
        if self.is_regular or not self._ordered or self._first is None:
            return 0.0
        return (self._regular + self._irregular) / (self._last - self._first)
