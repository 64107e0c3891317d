"""One streaming decoder for every extractor, so that frame i is the same instant in every view.

What becomes of which odd file, and why, stands in ``docs/decoding.md``.
"""

from __future__ import annotations

import contextlib
import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from cocon.errors import CoConError

#: px; a header can promise any size, and memory for one frame of it is asked for at once
MAX_PIXELS = 8192 * 4352
#: decoders report what they would otherwise conceal
_STRICT = {"err_detect": "crccheck+bitstream+explode", "max_pixels": str(MAX_PIXELS)}
#: containers whose index lists every coded frame
_INDEXED = ("mov", "avi")
#: "videos" that are a picture, or text
_NO_VIDEO = ("_pipe", "image2", "tty")
_PREDICTED = (av.video.frame.PictureType.P, av.video.frame.PictureType.B)
#: frames of tolerance when a file declares nothing but its length
_TOLERANCE = 2
#: frames; cameras and cutters drop one or two, damage takes more
_HOLE = 3.5
#: irregular intervals per regular one that a stream of constant rate may have
_IRREGULAR = 0.05


class VideoError(CoConError):
    """A file of which not one frame can be decoded; the message says why, the file's name is not in it."""


@dataclass
class Video:
    """An open video: iterate over it once to get its frames.

    Frames are RGB ``uint8`` of shape ``(height, width, 3)``, in order of presentation, upright (the quarter
    turns and mirrorings that cameras write are applied), all of the size of the first one, decoded one at
    a time: memory does not grow with the length. A frame that is damaged, or predicted from a damaged one,
    is left out and nothing is put in its place; ``reason`` then says, after the last frame, what is missing.

    Attributes:
        path: the file.
        rate: frames per second that the file declares.
        frames: given so far.
        height: px, known from the first frame on.
        width: px, known from the first frame on.
    """

    path: Path
    rate: float
    _container: Any
    _stream: Any
    frames: int = field(default=0, init=False)
    height: int = field(default=0, init=False)
    width: int = field(default=0, init=False)
    _packets: int = field(default=0, init=False)
    _end: float = field(default=0.0, init=False)
    _starts_whole: bool = field(default=True, init=False)
    _intact: bool = field(default=True, init=False)
    _lost: int = field(default=0, init=False)
    _first_fault: str = field(default="", init=False)
    _resized: str = field(default="", init=False)
    _times: _Times = field(init=False)

    def __post_init__(self) -> None:
        self._times = _Times(self.rate)
        if not self._stream.codec_context.width:
            self._first_fault = f"no size in the header, or more than {MAX_PIXELS} px"
        self._declared_packets = _declared_packets(self._container, self._stream)
        self._declared_seconds = _declared_seconds(self._container, self._stream)

    def __iter__(self) -> Iterator[np.ndarray]:
        reformatter, size = VideoReformatter(), None
        for frame in self._whole_frames():
            size = size or (frame.width, frame.height)
            if size != (frame.width, frame.height) and not self._resized:
                change = f"{size[0]}x{size[1]} to {frame.width}x{frame.height} px"
                self._resized = f"size changes from {change} at frame {self.frames}: scaled to the first"
            rgb = reformatter.reformat(frame, width=size[0], height=size[1], format="rgb24", threads=1)
            picture = _upright(rgb.to_ndarray(), frame)
            self.frames += 1
            self.height, self.width = picture.shape[:2]
            yield picture
        if not self.frames:
            raise VideoError(f"no frame can be decoded: {self.reason or 'none is coded'}")

    @property
    def fps(self) -> float:
        """Average frames per second; of irregular times, of what was decoded so far."""
        return self.rate if self._lost else self._times.average or self.rate

    @property
    def expected_frames(self) -> int:
        """A guess at the number of frames before they are decoded; 0 if the file says nothing."""
        return self._declared_packets or round(self._declared_seconds * self.rate)

    @property
    def reason(self) -> str:
        """What was wrong with the file; empty if nothing was. Final after the last frame."""
        faults = [self._resized] if self._resized else []
        if lost := self._left_out:
            cause = self._first_fault or "no keyframe at the start"
            faults.append(f"{lost} frames left out, damaged or predicted from these ({cause})")
        missing = self._declared_seconds - self._end
        if self._packets < self._declared_packets:
            faults.append(f"only {self._packets} of {self._declared_packets} coded frames can be read")
        elif not self._declared_packets and self.rate and missing > _TOLERANCE / self.rate:
            faults.append(f"ends after {self._end:.2f} of {self._declared_seconds:.2f} s")
        elif not self._declared_packets and not lost and self._times.missing:
            faults.append(f"about {self._times.missing} frames are missing before {self._times.gap:.2f} s")
        return "; ".join(faults)

    @property
    def _left_out(self) -> int:
        # What decoders drop by themselves after damage they do not report.
        silently = self._packets - self.frames
        return max(self._lost, silently) if self._lost or not self._starts_whole else 0

    def _whole_frames(self) -> Iterator[Any]:
        """Decoded frames, from keyframe to damage and from the next keyframe on."""
        for number, frame in enumerate(self._decoded()):
            time = self._time(frame.pts)
            if time is not None:
                self._times.add(time)
            if number == 0 and frame.pict_type not in _PREDICTED:
                self._intact = True
            if frame.is_corrupt:
                self._damaged("damaged frame", time)
            elif frame.key_frame or self._intact:
                self._intact = True
                yield frame
            else:
                self._leave_out("no keyframe yet", time)

    def _decoded(self) -> Iterator[Any]:
        """Everything that the decoder makes of the file, in order of presentation."""
        for packet in self._read():
            self._packets += 1
            if packet.is_corrupt:
                # What came before it is whole: take that out of the decoder, then start it anew.
                yield from self._decode(None)
                self._stream.codec_context.flush_buffers()
                self._damaged("damaged packet", self._time(packet.pts))
            else:
                yield from self._decode(packet)
        yield from self._decode(None)

    def _read(self) -> Iterator[Any]:
        """Coded frames in the file's order."""
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.FFmpegError, OSError) as error:
                self._leave_out(f"reading stopped: {_text(error)}", None)
                return
            if not packet.size:
                continue
            if not self._packets:
                # A file may begin amid a group of pictures: nothing is right before the next keyframe.
                self._intact = self._starts_whole = packet.is_keyframe
            for start in (packet.pts, packet.dts):
                self._end = max(self._end, self._time((start or 0) + (packet.duration or 0)) or 0.0)
            yield packet

    def _decode(self, packet: Any) -> list[Any]:
        """The frames that are ready after this packet; after none: all that are left."""
        try:
            return self._stream.codec_context.decode(packet)
        except EOFError:
            return []
        except (av.FFmpegError, OSError) as error:
            self._damaged(_text(error), self._time(packet.pts) if packet else None)
            return []

    def _damaged(self, fault: str, time: float | None) -> None:
        """A frame is lost, and with it all that are predicted from it."""
        self._intact = False
        self._leave_out(fault, time)

    def _leave_out(self, fault: str, time: float | None) -> None:
        self._lost += 1
        if not self._first_fault:
            self._first_fault = fault + (f" at {time:.2f} s" if time is not None else "")

    def _time(self, stamp: int | None) -> float | None:
        """Seconds from the file's units."""
        return None if stamp is None else float(stamp * self._stream.time_base)


@dataclass
class _Times:
    """Looks at the times of a stream's frames: are they regular, and where not, is it by a gap?

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


@contextlib.contextmanager
def open_video(path: Path) -> Iterator[Video]:
    """Open the first video stream of ``path`` that is not a cover picture.

    FFmpeg gets an open file, never the name: a name such as ``a:b`` is not taken for a protocol, and
    playlists inside a file cannot reach other files or the network. It decodes in one thread, since with
    several the frames around damage depend on their timing.

    Raises:
        VideoError: the file cannot be read, is not a video, or has no picture.
    """
    with contextlib.ExitStack() as stack:
        try:
            _check_file(path)
            handle = stack.enter_context(Path(path).open("rb"))
            options = {"protocol_whitelist": "none", "max_pixels": str(MAX_PIXELS)}
            container = stack.enter_context(av.open(handle, metadata_errors="ignore", options=options))
        except (av.FFmpegError, OSError) as error:
            raise VideoError(f"cannot be opened as a video: {_text(error)}") from error
        if container.format.name.endswith(_NO_VIDEO):
            raise VideoError(f"is a still image or a text, not a video ({container.format.name})")
        stream = _first_stream(container)
        stream.codec_context.options = _STRICT
        stream.codec_context.thread_count = 1
        stream.thread_type = "NONE"
        rate = stream.average_rate or stream.guessed_rate or 0
        yield Video(Path(path), float(rate), container, stream)


def decode(path: Path) -> Iterator[np.ndarray]:
    """The RGB frames of ``path``, see :class:`Video`."""
    with open_video(path) as video:
        yield from video


def _check_file(path: Path) -> None:
    """Refuse what would block, never end, or hold nothing."""
    state = os.stat(path)
    if not stat.S_ISREG(state.st_mode):
        kinds = {stat.S_IFDIR: "directory", stat.S_IFIFO: "fifo", stat.S_IFSOCK: "socket"}
        raise VideoError(f"is a {kinds.get(stat.S_IFMT(state.st_mode), 'device')}, not a file")
    if not state.st_size:
        raise VideoError("is empty")


def _first_stream(container: Any) -> Any:
    videos = container.streams.video
    streams = [stream for stream in videos if not stream.disposition & av.stream.Disposition.attached_pic]
    if not streams:
        raise VideoError("has no video stream" + (" but a cover picture" if videos else ""))
    stream = streams[0]
    if stream.codec_context is None:
        raise VideoError("is coded in a format that this build of FFmpeg does not know")
    return stream


def _upright(picture: np.ndarray, frame: Any) -> np.ndarray:
    """Apply the quarter turns and mirrorings of the frame's display matrix."""
    # An unknown kind of side data among others is a ValueError in PyAV before version 19.
    with contextlib.suppress(ValueError, KeyError):
        # A pixel at (x, y) is shown at (a x + c y, b x + d y).
        a, b, _, c, d = struct.unpack_from("=5i", bytes(frame.side_data["DISPLAYMATRIX"]))
        if abs(a) + abs(d) < abs(b) + abs(c):
            picture, a, d = picture.swapaxes(0, 1), c, b
        picture = picture[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    return np.ascontiguousarray(picture)


def _declared_packets(container: Any, stream: Any) -> int:
    """Coded frames that the file's index lists; 0 if it has no complete one."""
    if not container.format.name.startswith(_INDEXED):
        return 0
    entries = stream.index_entries
    if container.format.name != "avi":
        return len(entries)  # an edit list may show fewer than the track has
    # An entry without bytes says "show the last picture once more": no frame of its own.
    return max(stream.frames, len(entries)) - sum(not entry.size for entry in entries)


def _declared_seconds(container: Any, stream: Any) -> float:
    """Where the video stream ends by what the file declares; 0 if it does not say."""
    if stream.duration:
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base)
    hours, _, rest = stream.metadata.get("DURATION", "").partition(":")  # Matroska
    minutes, _, seconds = rest.partition(":")
    with contextlib.suppress(ValueError):
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    if container.duration and len(container.streams) == 1:
        return container.duration / av.time_base
    return 0.0


def _text(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
