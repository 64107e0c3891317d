"""Counts what is lost of a video while it is decoded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Damage:
    """Counts the frames that are left out, and tracks whether the next one is whole.

    Attributes:
        intact: nothing was lost since the last keyframe: what is predicted from there on is whole.
        starts_whole: the file begins with a keyframe.
        lost: frames left out so far.
        first: the first fault, and when it was.
    """

    intact: bool = True
    starts_whole: bool = True
    lost: int = 0
    first: str = ""

    def begin(self, keyframe: bool) -> None:
        """Start a file, with a keyframe or not. Without one, no frame before the next keyframe is correct."""
        self.intact = self.starts_whole = keyframe

    def break_off(self, fault: str, time: float | None) -> None:
        """Mark all frames up to the next keyframe as not whole."""
        self.intact = False
        self.note(fault, time)

    def leave_out(self, fault: str, time: float | None) -> None:
        """Count a frame that is left out."""
        self.lost += 1
        self.note(fault, time)

    def note(self, fault: str, time: float | None) -> None:
        """Remember the first fault (at a time in s)."""
        if not self.first:
            self.first = fault + (f" at {time:.2f} s" if time is not None else "")
