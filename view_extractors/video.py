"""One streaming decoder for every extractor, so that frame i is the same instant in every view."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np

from cocon.errors import CoConError

#: a file that ends before this part of its declared length is reported as cut short
WHOLE = 0.95


class VideoError(CoConError):
    """A file of which not one frame can be decoded."""


@dataclass
class Video:
    """An open video: iterate over it once to get its frames.

    Frames are RGB ``uint8`` of shape ``(height, width, 3)``, upright (the rotation that phones write
    is applied), all of the size of the first one, decoded one at a time: memory does not grow with
    the length. Frames that the decoder marks as damaged are left out, and nothing is put in their place;
    ``reason`` then says, after the last frame, what was missing.
    """

    path: Path
    fps: float
    _packets: Iterator[Any]
    _declared_frames: int
    _declared_seconds: float
    frames: int = field(default=0, init=False)
    height: int = field(default=0, init=False)
    width: int = field(default=0, init=False)
    _seconds: float = field(default=0.0, init=False)
    _damage: list[str] = field(default_factory=list, init=False)

    def __iter__(self) -> Iterator[np.ndarray]:
        size = None
        for frame in self._decoded():
            size = size or (frame.width, frame.height)
            self._seconds = max(self._seconds, frame.time or 0.0)
            picture = frame.to_ndarray(format="rgb24", width=size[0], height=size[1])
            picture = np.ascontiguousarray(np.rot90(picture, round(frame.rotation / 90) % 4))
            self.frames += 1
            self.height, self.width = picture.shape[:2]
            yield picture
        if not self.frames:
            detail = f": {self._damage[0]}" if self._damage else ""
            raise VideoError(f"no frame of '{self.path}' can be decoded{detail}")

    @property
    def reason(self) -> str:
        """What was wrong with the file; empty if nothing was. Final after the last frame."""
        faults = []
        if self._damage:
            faults.append(f"{len(self._damage)} damaged packets or frames left out ({self._damage[0]})")
        if self.frames < WHOLE * self._declared_frames - 2:
            faults.append(f"{self.frames} of {self._declared_frames} declared frames can be decoded")
        elif self._seconds < WHOLE * self._declared_seconds - (2 / self.fps if self.fps else 0):
            faults.append(f"ends after {self._seconds:.2f} of {self._declared_seconds:.2f} declared seconds")
        return "; ".join(faults)

    def _decoded(self) -> Iterator[Any]:
        """Decoded frames; what cannot be read goes to ``_damage``."""
        while True:
            try:
                packet = next(self._packets)
            except StopIteration:
                return
            except (av.FFmpegError, OSError) as error:
                self._damage.append(f"reading stopped: {_text(error)}")
                return
            try:
                for frame in packet.decode():
                    if frame.is_corrupt:
                        self._damage.append("damaged frame")
                    else:
                        yield frame
            except (av.FFmpegError, OSError) as error:
                self._damage.append(_text(error))


@contextlib.contextmanager
def open_video(path: Path, threads: int = 1) -> Iterator[Video]:
    """Open the first video stream of ``path``.

    FFmpeg gets an open file, never the name: a name such as ``a:b`` is not taken for a protocol, and
    playlists inside a file cannot reach other files or the network.

    Raises:
        VideoError: the file cannot be read, is not a video, or has no picture.
    """
    with contextlib.ExitStack() as stack:
        try:
            handle = stack.enter_context(Path(path).open("rb"))
            if not handle.read(1):
                raise VideoError(f"'{path}' is empty")
            handle.seek(0)
            container: Any = stack.enter_context(
                av.open(handle, metadata_errors="ignore", options={"protocol_whitelist": "none"})
            )
        except (av.FFmpegError, OSError) as error:
            raise VideoError(f"'{path}' cannot be opened as a video: {_text(error)}") from error
        if not container.streams.video:
            raise VideoError(f"'{path}' has no video stream")
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise VideoError(f"'{path}' is coded in a format that this build of FFmpeg does not know")
        stream.codec_context.thread_count = threads
        stream.thread_type = "NONE" if threads == 1 else "AUTO"
        rate = stream.average_rate or stream.guessed_rate or 0
        yield Video(
            Path(path), float(rate), container.demux(stream), stream.frames, _seconds(container, stream)
        )


def decode(path: Path, threads: int = 1) -> Iterator[np.ndarray]:
    """The RGB frames of ``path``, see :class:`Video`."""
    with open_video(path, threads) as video:
        yield from video


def _seconds(container: Any, stream: Any) -> float:
    """The declared length of the video stream; 0 if the file does not say."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    hours, _, rest = stream.metadata.get("DURATION", "").partition(":")  # Matroska
    minutes, _, seconds = rest.partition(":")
    with contextlib.suppress(ValueError):
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    if container.duration and len(container.streams) == 1:
        return container.duration / av.time_base
    return 0.0


def _text(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
