"""Progress messages of a run, and the summary at its end."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

STAGES = ("decode", "inference", "write")


@dataclass
class Summary:
    """The counts of a run, and the time that each stage was busy.

    Attributes:
        ok: videos without a fault.
        repaired: videos of which something is missing.
        skipped: videos of which no frame can be decoded.
        frames: in all videos together.
        seconds: from the first video to the last; the networks are loaded before.
        busy: seconds that each stage was busy; stages that run at the same time add up to more than
            ``seconds``. Decode includes reading, write includes scaling and encoding, inference includes
            waiting for a GPU.
    """

    ok: int = 0
    repaired: int = 0
    skipped: int = 0
    frames: int = 0
    seconds: float = 0.0
    busy: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    _counting: Lock = field(default_factory=Lock, init=False, repr=False, compare=False)

    @property
    def videos(self) -> int:
        """All videos that got a row."""
        return self.ok + self.repaired + self.skipped

    @property
    def bottleneck(self) -> str:
        """The stage that was busy longest."""
        return max(self.busy, key=lambda stage: self.busy[stage])

    @contextlib.contextmanager
    def at_work(self, stage: str) -> Iterator[None]:
        """Count the time of the block as the stage's."""
        began = time.perf_counter()
        try:
            yield
        finally:
            took = time.perf_counter() - began
            with self._counting:
                self.busy[stage] += took

    def count(self, frames: int, reason: str) -> None:
        """Count a video by its status."""
        if not frames:
            self.skipped += 1
        elif reason:
            self.repaired += 1
        else:
            self.ok += 1


class Progress:
    """Receives the progress of a run; this base class ignores it.

    Between :meth:`start` and :meth:`finish` calls come from another thread, in the order of the videos,
    except for :meth:`batches_halved`.
    """

    def start(self, videos: int) -> None:
        """Start a run over this number of videos."""

    def frames(self, count: int, expected: int) -> None:
        """Add finished frames, out of the number that the video's file declares (0: none)."""

    def batches_halved(self, size: int) -> None:
        """The GPU's memory was too small: batches have this size from now on."""

    def video(self, video_id: str, frames: int, reason: str) -> None:
        """A video is done. No frames: it was skipped; a reason and frames: it was repaired."""

    def up_to_date(self, path: Path) -> None:
        """This shard needs no work."""

    def finish(self, summary: Summary) -> None:
        """All shards are written."""
