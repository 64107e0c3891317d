"""Progress: a bar with the remaining time on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from cocon.messages import has_bars
from cocon.terminal import printable
from view_extractors.pipeline.progress import Progress, Summary

log = logging.getLogger(__name__)

#: seconds between two lines about one long video
_PATIENCE = 30.0


class ConsoleProgress(Progress):
    """A bar on standard error, or messages; skipped videos are warnings."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None
        self._began = self._spoke = time.monotonic()
        self._videos = self._done = 0
        self._frames = self._finished_frames = self._expected = 0

    def start(self, videos: int) -> None:
        """Set the number of videos to extract."""
        self._videos = videos
        self._began = self._spoke = time.monotonic()
        if videos and has_bars():
            self._bar = tqdm(unit=" frames", dynamic_ncols=True)
            self._describe()

    def frames(self, count: int, expected: int) -> None:
        """Add a number of finished frames; the video's file declares ``expected`` frames, 0: no number."""
        self._frames += count
        self._expected = expected
        if self._bar is not None:
            self._bar.total = self.total_frames
            self._bar.update(count)
        elif time.monotonic() - self._spoke > _PATIENCE:
            self._line(f"{self._position(self._done + 1)} goes on")

    def video(self, video_id: str, frames: int, reason: str) -> None:
        """A video is done; frames is 0 when it was skipped."""
        self._done += 1
        self._finished_frames, self._expected = self._frames, 0
        level = logging.WARNING if reason and not frames else logging.INFO
        status = ("repaired" if frames else "SKIPPED") + f" ({reason})" if reason else "ok"
        if self._bar is None:
            self._line(f"{self._position(self._done)} {video_id}: {frames} frames, {status}", level)
        else:
            if reason:
                self._log(f"{video_id}: {frames} frames, {status}", level)
            self._describe()

    def batches_halved(self, size: int) -> None:
        """The GPU's memory was too small."""
        self._log(f"GPU memory is short: batches of {size} frames from now on")

    def up_to_date(self, path: Path) -> None:
        """This shard needs no work."""
        self._log(f"{path} is up to date")

    def finish(self, summary: Summary) -> None:
        """All shards are written."""
        self.close()
        if summary.videos:
            log.info(describe(summary))

    def close(self) -> None:
        """Remove the bar from the terminal."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    @property
    def total_frames(self) -> int | None:
        """Frames of all videos, from the finished ones and the header of this one; None: unknown."""
        current = max(self._expected, self._frames - self._finished_frames)
        known = self._done + bool(self._expected)
        if not known:
            return None
        mean = (self._finished_frames + self._expected) / known
        left = max(0, self._videos - self._done - (current > 0))
        return round(self._finished_frames + current + left * mean)

    def _position(self, number: int) -> str:
        return f"[{number}/{self._videos}]"

    def _describe(self) -> None:
        if self._bar is not None:
            self._bar.total = self.total_frames
            self._bar.set_description(f"{self._done} of {self._videos} videos")

    def _line(self, text: str, level: int = logging.INFO) -> None:
        self._spoke = time.monotonic()
        seconds = max(self._spoke - self._began, 1e-3)
        total = self.total_frames
        left = (total - self._frames) * seconds / self._frames if total and self._frames else 0
        end = f", {duration(left)} left" if left >= 1 else ""
        self._log(f"{text}; {self._frames / seconds:.1f} frames/s{end}", level)

    @staticmethod
    def _log(text: str, level: int = logging.INFO) -> None:
        log.log(level, "%s", printable(text))


def describe(summary: Summary) -> str:
    """The summary of a run, in two lines."""
    seconds = max(summary.seconds, 1e-3)
    shares = ", ".join(f"{stage} {100 * busy / seconds:.0f} %" for stage, busy in summary.busy.items())
    return (
        f"{summary.ok} ok, {summary.repaired} repaired, {summary.skipped} skipped; {summary.frames:,} frames "
        f"in {duration(seconds)}, {summary.frames / seconds:.1f} frames/s\n"
        f"at work: {shares} of the time; bottleneck: {summary.bottleneck}"
    )


def duration(seconds: float) -> str:
    """A length of time in its two largest units."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60)} s"
    return f"{minutes // 60} h {minutes % 60} min" if minutes < 6000 else f"{minutes / 60:,.0f} h"
