"""One video on its way through the stages of a run, and the results that inference passes to writing."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cocon.shards import ShardWriter
from cocon.shards.spool import VideoSpool
from cocon.video import VideoError
from view_extractors.base import Extractor


@dataclass
class WorkItem:
    """One video on its way through the stages.

    Attributes:
        id: of the video.
        path: of the video.
        writers: the shards that lack it, each with an extractor of the video's own: while its last results
            are written, the next video has begun.
        spools: per writer, where the stored frames go.
        expected_frames: how many the file declares; 0: none.
        size: height and width of the frames, px.
        fps: frames per second.
        started: inference has begun.
        frames: decoded frames; final, like the next two, when decoding has ended.
        reason: what was wrong with the file.
        skipped: no frame can be decoded, or no view can store one, for this reason.
        refused: the reason, per shard whose view cannot store the video; ``writers`` has it no longer.
    """

    id: str
    path: Path
    writers: dict[ShardWriter, Extractor]
    spools: list[VideoSpool] = field(default_factory=list)
    expected_frames: int = 0
    size: tuple[int, int] = (0, 0)
    fps: float = 0.0
    started: bool = False
    frames: int = 0
    reason: str = ""
    skipped: bool = False
    refused: dict[ShardWriter, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.writers = {writer: copy.copy(extractor) for writer, extractor in self.writers.items()}

    @contextlib.contextmanager
    def named_in_errors(self, stage: str) -> Iterator[None]:
        """Add the action and the video's name to any error."""
        try:
            yield
        except Exception as error:
            error.add_note(f"{stage} of video '{self.id}' ({self.path}) failed; finished videos are kept")
            raise

    def start(self, height: int, width: int, fps: float) -> None:
        """Start the extractors for frames of this size and, if the file has one, this rate.

        Raises:
            VideoError: no view can store them.
        """
        self.size = (height, width)
        for writer, extractor in list(self.writers.items()):
            extractor.fps = fps
            try:
                extractor.start(height, width)
            except VideoError as error:
                self.refused[writer] = error.message
                del self.writers[writer]
        if not self.writers:
            raise VideoError(next(iter(self.refused.values())))

    @property
    def outcome(self) -> tuple[int, str]:
        """How many frames are kept, and what is missing, in any of the views."""
        if self.skipped:
            return 0, self.reason
        return self.frames, "; ".join(filter(None, [self.reason, *self.refused.values()]))

    def commit(self) -> None:
        """Commit the video, or the reason why it has no frames."""
        for writer, reason in self.refused.items():
            writer.skip(self.id, reason)
        if self.skipped:
            for writer in self.writers:
                writer.skip(self.id, self.reason)
            return
        for extractor, spool in zip(self.writers.values(), self.spools, strict=True):
            assert spool.frames == self.frames
            spool.commit(
                height=extractor.stored_size[0],
                width=extractor.stored_size[1],
                source_height=self.size[0],
                source_width=self.size[1],
                fps=self.fps,
                status="repaired" if self.reason else "ok",
                reason=self.reason,
            )


@dataclass(frozen=True)
class Results:
    """The results that inference passes to writing: per writer of the item, the results for some frames.

    ``frames`` counts the decoded frames that were processed; 0: the video ends with these results.
    """

    item: WorkItem
    frames: int
    of_writers: list[list[Any]]
