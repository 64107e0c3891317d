"""Progress for people: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tqdm import tqdm

from view_extractors.base import Progress

#: seconds between two lines about one long video
_PATIENCE = 30.0


class ConsoleProgress(Progress):
    """Writes to standard error."""

    def __init__(self) -> None:
        self._bar: tqdm | None = tqdm(unit=" frames") if sys.stderr.isatty() else None
        self._began = self._spoke = time.monotonic()
        self._videos = self._done = self._frames = 0

    def start(self, videos: int) -> None:
        """So many videos are to be extracted."""
        self._videos = videos
        self._began = self._spoke = time.monotonic()
        self._describe()

    def frames(self, count: int) -> None:
        """So many more frames are done."""
        self._frames += count
        if self._bar is not None:
            self._bar.update(count)
        elif time.monotonic() - self._spoke > _PATIENCE:
            self._line(f"{self._position(self._done + 1)} goes on")

    def video(self, video_id: str, frames: int, reason: str) -> None:
        """A video is done; frames is 0 when it was skipped."""
        self._done += 1
        status = ("repaired" if frames else "SKIPPED") + f" ({reason})" if reason else "ok"
        if self._bar is None:
            self._line(f"{self._position(self._done)} {video_id}: {frames} frames, {status}")
        else:
            if reason:
                self._bar.write(f"{video_id}: {frames} frames, {status}", file=sys.stderr)
            self._describe()

    def up_to_date(self, path: Path) -> None:
        """This shard needs no work."""
        print(f"{path} is up to date", file=sys.stderr)

    def close(self) -> None:
        """Leave the terminal tidy."""
        if self._bar is not None:
            self._bar.close()

    def _position(self, number: int) -> str:
        return f"[{number}/{self._videos}]"

    def _describe(self) -> None:
        if self._bar is not None:
            self._bar.set_description(f"{self._done} of {self._videos} videos")

    def _line(self, text: str) -> None:
        self._spoke = time.monotonic()
        rate = self._frames / max(self._spoke - self._began, 1e-3)
        print(f"{text}; {rate:.1f} frames/s", file=sys.stderr, flush=True)
