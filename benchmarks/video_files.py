"""Makes videos, whole and broken, for the decoder's tests and benchmarks."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

HEIGHT, WIDTH, FRAMES, GROUP, RATE = 96, 128, 40, 10, 25

_MATRIX = struct.Struct(">9i")
_ONE = 1 << 16


def moving(frames: int = FRAMES, height: int = HEIGHT, width: int = WIDTH) -> list[np.ndarray]:
    """RGB frames (height, width, 3) of a window that moves over a smooth random texture."""
    noise = np.random.default_rng(0).normal(size=(height, width + 2 * frames, 3)).astype(np.float32)
    smooth = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 30, 220, cv2.NORM_MINMAX)
    wide = smooth.astype(np.uint8)
    return [np.ascontiguousarray(wide[:, 2 * i : 2 * i + width]) for i in range(frames)]


def write(
    path: Path,
    frames: Sequence[np.ndarray] | None = None,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    *,
    times: Sequence[int] | None = None,
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
    before: Callable[[av.container.OutputContainer], Sequence[av.Packet]] | None = None,
    setup: Callable[[av.video.stream.VideoStream], object] | None = None,
) -> Path:
    """Encode frames (default: :func:`moving`), at ``times`` (ms) or 25 per second.

    ``before`` may add other streams and returns their packets; ``setup`` sees the stream before it is opened.
    """
    frames = moving() if frames is None else frames
    quality = {"crf": "14", "preset": "veryfast", "bf": "2"} if codec == "libx264" else {}
    with av.open(f"file:{path}", "w", options=container or {}) as output:
        others = before(output) if before else []
        stream = output.add_stream(codec, rate=RATE, options=quality | (options or {}))
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixels
        stream.thread_count = 1
        stream.codec_context.gop_size = GROUP
        stream.bit_rate = 2_000_000
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if setup:
            setup(stream)
        stream.codec_context.open()
        output.start_encoding()
        output.mux(others)
        for number, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[number], Fraction(1, 1000)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def silence(path: Path, codec: str = "pcm_s16le", covered: bool = False) -> Path:
    """A file with sound, and a cover picture if wanted, but no video."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=44100, layout="mono")
        pictures = cover(output) if covered else []
        output.start_encoding()
        output.mux(pictures)
        for _ in range(20):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.int16), format="s16", layout="mono")
            frame.rate = 44100
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def cover(output: av.container.OutputContainer) -> list[av.Packet]:
    """Add a black JPEG as an attached picture; returns its packets."""
    stream = output.add_stream("mjpeg", rate=1)
    stream.height, stream.width, stream.pix_fmt = 32, 32, "yuvj420p"
    stream.disposition = av.stream.Disposition.attached_pic
    frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
    frame.pts = 0
    return [*stream.encode(frame), *stream.encode(None)]


def subtitles(output: av.container.OutputContainer) -> list[av.Packet]:
    """Add a stream of subtitles; returns its packets."""
    packet = av.Packet(b"words")
    packet.stream = output.add_mux_stream("subrip")
    packet.pts, packet.dts, packet.duration = 0, 0, 400
    packet.time_base = Fraction(1, 1000)
    return [packet]


def splice(path: Path, old: bytes, new: bytes, after: bytes = b"") -> Path:
    """Overwrite bytes in place, the first time that ``old`` follows ``after``."""
    assert len(old) == len(new)
    data = path.read_bytes()
    at = data.index(old, data.index(after))
    path.write_bytes(data[:at] + new + data[at + len(old) :])
    return path


def turn(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """Write a display matrix into the track header of an MP4 file."""
    identity = _MATRIX.pack(_ONE, 0, 0, 0, _ONE, 0, 0, 0, 1 << 30)
    matrix = _MATRIX.pack(a * _ONE, b * _ONE, 0, c * _ONE, d * _ONE, 0, 0, 0, 1 << 30)
    return splice(path, identity, matrix, after=b"tkhd")


def start_later(path: Path, frames: int) -> Path:
    """Let the edit list of an MP4 file (time scale 12800) begin after some frames."""
    data = path.read_bytes()
    at = data.index(b"elst") + 4 + 4 + 4 + 4  # version, count, duration
    begin = int.from_bytes(data[at : at + 4]) + frames * 12800 // RATE
    path.write_bytes(data[:at] + begin.to_bytes(4) + data[at + 4 :])
    return path


def copy_from(source: Path, path: Path, keyframe: int, start: float) -> Path:
    """Copy the coded frames of an MP4 file from this keyframe on (0: the first), without decoding them.

    An edit list hides what is shown before ``start`` (s of the source).
    """
    with av.open(str(source)) as given, av.open(str(path), "w") as output:
        stream = given.streams.video[0]
        copied, begin, keyframes = (
            output.add_stream_from_template(stream),
            round(start / stream.time_base),
            -1,
        )
        for packet in given.demux(stream):
            keyframes += packet.is_keyframe
            if packet.dts is not None and keyframes >= keyframe:
                packet.pts, packet.dts, packet.stream = packet.pts - begin, packet.dts - begin, copied
                output.mux(packet)
    return path


def cover_first(path: Path) -> Path:
    """Move the box with the cover of an MP4 file before its tracks, so that it becomes stream 0."""
    data = path.read_bytes()
    moov = data.index(b"moov") - 4
    track, extra = data.index(b"trak", moov) - 4, data.index(b"udta", moov) - 4
    end = moov + int.from_bytes(data[moov : moov + 4])
    path.write_bytes(data[:track] + data[extra:end] + data[track:extra] + data[end:])
    return path


def twin(path: Path) -> Path:
    """Where :func:`damaged` keeps the undamaged file."""
    return path.with_name(f"whole{path.suffix}")


def damaged(path: Path, edit: Callable[[bytearray], object]) -> Path:
    """Change the bytes of a file; keeps the undamaged one as :func:`twin`."""
    data = path.read_bytes()
    twin(path).write_bytes(data)
    broken = bytearray(data)
    edit(broken)
    path.write_bytes(broken)
    return path


def keep(fraction: float) -> Callable[[bytearray], None]:
    """Cut off what lies behind this fraction of a file."""

    def edit(data: bytearray) -> None:
        del data[int(len(data) * fraction) :]

    return edit


def zero(begin: float, length: int) -> Callable[[bytearray], None]:
    """Zero bytes, as an unreadable sector gives them."""

    def edit(data: bytearray) -> None:
        at = int(len(data) * begin)
        data[at : at + length] = bytes(length)

    return edit


def remove(begin: float, length: int) -> Callable[[bytearray], None]:
    """Take bytes out, as a lost network packet does."""

    def edit(data: bytearray) -> None:
        at = int(len(data) * begin)
        del data[at : at + length]

    return edit


def huge_header(path: Path, width: int, height: int) -> Path:
    """A whole Motion-JPEG AVI whose headers promise frames of another size."""
    write(path, moving(3), "mjpeg", "yuvj420p")
    data = bytearray(path.read_bytes())
    header = data.index(b"strf") + 12
    data[header : header + 8] = struct.pack("<ii", width, height)
    main = data.index(b"avih") + 8 + 32
    data[main : main + 8] = struct.pack("<ii", width, height)
    at = 0
    while (at := data.find(b"\xff\xc0", at)) >= 0:  # the frame header of each JPEG
        data[at + 5 : at + 9] = struct.pack(">HH", height, width)
        at += 9
    path.write_bytes(data)
    return path
