"""Decodes a video frame by frame, so that frame i is the same instant for every reader."""

from __future__ import annotations

import contextlib
import errno
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
from cocon.video.damage import Damage
from cocon.video.declared import HEAD_BYTES, Declared, Read
from cocon.video.times import Times

#: px; a header can declare any size, and memory for one frame of it is allocated at once
MAX_PIXELS = 8192 * 4352
#: decoders report what they would otherwise conceal
_STRICT = {"err_detect": "crccheck+bitstream+explode", "max_pixels": str(MAX_PIXELS)}
#: "videos" that are a picture, or text
_NO_VIDEO = ("_pipe", "image2", "tty")
#: there is no such file, or a link leads nowhere or to itself
_NOWHERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
_PREDICTED = (av.video.frame.PictureType.P, av.video.frame.PictureType.B)


class VideoError(CoConError):
    """A file of which not one frame can be decoded; the message has the reason, without the file's name."""


class VideoMissingError(VideoError):
    """There is no such file."""


@dataclass
class VideoReader:
    """An open video: iterate over it once to get its frames.

    Frames are RGB ``uint8`` of shape ``(height, width, 3)``, in order of presentation, upright (the quarter
    turns and mirrorings that cameras write are applied), all of the size of the first one, decoded one at a
    time: memory does not grow with the length. A frame that is damaged, or predicted from a damaged one, is
    left out and nothing is put in its place; after the last frame, ``reason`` then lists what is missing.

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
    _declared: Declared
    frames: int = field(default=0, init=False)
    height: int = field(default=0, init=False)
    width: int = field(default=0, init=False)
    _read: Read = field(default_factory=Read, init=False)
    _damage: Damage = field(default_factory=Damage, init=False)
    _resized: str = field(default="", init=False)
    _keyframe: int | None = field(default=None, init=False)
    _whole_from: int | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._times = Times(self.rate)
        if not self._stream.codec_context.width:
            self._damage.first = f"no size in the header, or more than {MAX_PIXELS} px"

    def __iter__(self) -> Iterator[np.ndarray]:
        reformatter = VideoReformatter()
        for frame, (width, height) in self._counted_frames():
            rgb = reformatter.reformat(frame, width=width, height=height, format="rgb24", threads=1)
            picture = _upright(rgb.to_ndarray(), frame)
            self.height, self.width = picture.shape[:2]
            yield picture

    def skim(self) -> None:
        """Decode all frames without making pictures; all attributes but the size are known afterwards.

        Raises:
            VideoError: not one frame can be decoded.
        """
        for _ in self._counted_frames():
            pass

    @property
    def fps(self) -> float:
        """Average frames per second; of irregular times, of what was decoded so far."""
        return self.rate if self._damage.lost else self._times.average or self.rate

    @property
    def expected_frames(self) -> int:
        """The estimated number of frames before they are decoded; 0 if the file declares nothing."""
        return self._declared.frames

    @property
    def reason(self) -> str:
        """What was wrong with the file; empty if nothing was. Final after the last frame."""
        faults = [self._resized] if self._resized else []
        if lost := self._left_out:
            cause = self._damage.first or "no keyframe at the start"
            faults.append(f"{lost} frames left out, damaged or predicted from these ({cause})")
        if shortfall := self._declared.shortfall(self._read):
            faults.append(shortfall)
        elif not self._declared.counts_frames and not lost and self._times.missing:
            faults.append(f"about {self._times.missing} frames are missing before {self._times.gap:.2f} s")
        return "; ".join(faults)

    @property
    def _left_out(self) -> int:
        lost = self._damage.lost
        # What decoders drop by themselves after damage they do not report.
        silently = self._read.packets - self._read.hidden - self.frames
        suspected = lost or self._whole_from is not None or not self._damage.starts_whole
        return max(lost, silently) if suspected else 0

    def _counted_frames(self) -> Iterator[tuple[Any, tuple[int, int]]]:
        """Whole frames, and the size (width, height) that all of them get."""
        size = None
        for frame in self._whole_frames():
            size = size or (frame.width, frame.height)
            if size != (frame.width, frame.height) and not self._resized:
                change = f"{size[0]}x{size[1]} to {frame.width}x{frame.height} px"
                self._resized = f"size changes from {change} at frame {self.frames}: scaled to the first"
            self.frames += 1
            yield frame, size
        if not self.frames:
            raise VideoError(f"no frame can be decoded: {self.reason or 'none is coded'}")

    def _whole_frames(self) -> Iterator[Any]:
        """Decoded frames, from keyframe to damage and from the next keyframe on."""
        for number, frame in enumerate(self._decoded()):
            time = self._time(frame.pts)
            if time is not None:
                self._times.add(time)
            if number == 0 and frame.pict_type not in _PREDICTED:
                self._damage.intact = True
            if frame.is_corrupt:
                self._damage.break_off("damaged frame", time)
                self._damage.leave_out("damaged frame", time)
            elif _is_before(frame.pts, self._whole_from):
                self._damage.leave_out("no keyframe yet", time)
            elif frame.key_frame or self._damage.intact:
                self._damage.intact = True
                yield frame
            else:
                self._damage.leave_out("no keyframe yet", time)

    def _decoded(self) -> Iterator[Any]:
        """All frames that the decoder returns for the file, in order of presentation."""
        for packet in self._packets():
            self._read.add(packet, self._stream.time_base)
            if packet.is_keyframe:
                self._keyframe = packet.pts
            if packet.is_corrupt:
                # What came before it is whole: take that out of the decoder, then restart it.
                yield from self._decode(None)
                self._stream.codec_context.flush_buffers()
                self._damaged("damaged packet", packet)
            else:
                yield from self._decode(packet)
        yield from self._decode(None)

    def _packets(self) -> Iterator[Any]:
        """Coded frames in the file's order."""
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.FFmpegError, OSError) as error:
                self._damage.leave_out(f"reading stopped: {_text(error)}", None)
                return
            if not packet.size:
                continue
            if not self._read.packets:
                self._damage.begin(packet.is_keyframe)
            yield packet

    def _decode(self, packet: Any) -> list[Any]:
        """The frames that are ready after this packet; after none: all that are left."""
        try:
            result: list[Any] = self._stream.codec_context.decode(packet)
            return result
        except EOFError:
            return []
        except (av.FFmpegError, OSError) as error:
            self._damaged(_text(error), packet)
            return []

    def _damaged(self, fault: str, packet: Any) -> None:
        """This packet (None: the last ones) does not give a whole frame, nor do those predicted from it."""
        time = self._time(packet.pts) if packet else None
        hidden = bool(packet) and packet.is_discard
        if not hidden:
            self._damage.leave_out(fault, time)
        if hidden and _is_before(packet.pts, self._keyframe):
            # Shown before the keyframe that it follows in the file, as all that is predicted from it; where a
            # file was cut there, what it is predicted from itself is gone.
            self._damage.note(fault, time)
            self._whole_from = self._keyframe
        else:
            self._damage.break_off(fault, time)

    def _time(self, stamp: int | None) -> float | None:
        """Seconds from the file's units."""
        return None if stamp is None else float(stamp * self._stream.time_base)


@contextlib.contextmanager
def open_video(path: Path) -> Iterator[VideoReader]:
    """Open the first video stream of ``path`` that is not a cover picture.

    FFmpeg gets an open file, never the name: a name such as ``a:b`` is not taken for a protocol, and
    playlists inside a file cannot reach other files or the network. It decodes in one thread, since with
    several the frames around damage depend on their timing.

    Raises:
        VideoError: the file cannot be read, is not a video, or has no picture.
    """
    check_file(path)
    with contextlib.ExitStack() as stack:
        try:
            handle = stack.enter_context(Path(path).open("rb"))
            head = handle.read(HEAD_BYTES).ljust(HEAD_BYTES, b"\0")
            handle.seek(0)
            options = {"protocol_whitelist": "none", "max_pixels": str(MAX_PIXELS)}
            container = stack.enter_context(av.open(handle, metadata_errors="ignore", options=options))
        except (av.FFmpegError, OSError) as error:
            raise _cannot_be_opened(error) from error
        if container.format.name.endswith(_NO_VIDEO):
            raise VideoError(f"is a still image or a text, not a video ({container.format.name})")
        stream = _first_stream(container)
        stream.codec_context.options = _STRICT
        stream.codec_context.thread_count = 1
        stream.thread_type = "NONE"
        rate = stream.average_rate or stream.guessed_rate or 0
        declared = Declared.of(container, stream, float(rate), head)
        yield VideoReader(Path(path), float(rate), container, stream, declared)


def decode(path: Path) -> Iterator[np.ndarray]:
    """The RGB frames of ``path``, see :class:`VideoReader`."""
    with open_video(path) as video:
        yield from video


def check_file(path: Path) -> int:
    """The size (bytes) of a file that may be a video; it is not opened.

    Raises:
        VideoMissingError: there is no such file.
        VideoError: opening or reading it would block or never end, or it is empty.
    """
    try:
        state = os.stat(path)
    except OSError as error:
        if error.errno in _NOWHERE:
            raise VideoMissingError("file is missing") from error
        raise _cannot_be_opened(error) from error
    if not stat.S_ISREG(state.st_mode):
        kinds = {stat.S_IFDIR: "directory", stat.S_IFIFO: "fifo", stat.S_IFSOCK: "socket"}
        raise VideoError(f"is a {kinds.get(stat.S_IFMT(state.st_mode), 'device')}, not a file")
    if not state.st_size:
        raise VideoError("is empty")
    return state.st_size


def _is_before(stamp: int | None, other: int | None) -> bool:
    return stamp is not None and other is not None and stamp < other


def _first_stream(container: Any) -> Any:
    videos = container.streams.video
    streams = [stream for stream in videos if not stream.disposition & av.stream.Disposition.attached_pic]
    if not streams:
        raise VideoError("has no video stream" + (" but a cover picture" if videos else ""))
    stream = streams[0]
    if stream.codec_context is None:
        raise VideoError("is coded in a format that this build of FFmpeg does not support")
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


def _cannot_be_opened(error: Exception) -> VideoError:
    return VideoError(f"cannot be opened as a video: {_text(error)}")


def _text(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
