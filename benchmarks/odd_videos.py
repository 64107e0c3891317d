"""The table of unusual videos: each file, and the decoder's result for it.

The tests check every row, ``docs/decoding.md`` shows the same rows, and ``benchmarks.decode`` gives the
files to other decoders.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np

from benchmarks.video_files import (
    FRAMES,
    RATE,
    copy_from,
    cover,
    cover_first,
    damaged,
    huge_header,
    keep,
    moving,
    remove,
    silence,
    splice,
    start_later,
    subtitles,
    turn,
    write,
    zero,
)

Frames = list[np.ndarray]


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes:
        name: what the file is.
        outcome: the status of its row in a shard.
        policy: what is done, or why not.
        make: writes the file into a folder and returns its path.
        reason: part of the row's reason.
        truth: the right frames of a file that is ok; of a repaired one they are those of its undamaged twin.
        fps: expected rate.
    """

    name: str
    outcome: Literal["ok", "repaired", "skipped"]
    policy: str
    make: Callable[[Path], Path]
    reason: str = ""
    truth: Callable[[], Frames] = moving
    fps: float = 25.0


def _file(name: str, *args: object, **kwargs: object) -> Callable[[Path], Path]:
    return lambda folder: write(folder / name, *args, **kwargs)  # type: ignore[arg-type]


def _text(name: str, content: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


def _special(name: str, create: Callable[[Path], object]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        create(folder / name)
        return folder / name

    return make


def _socket(path: Path) -> None:
    # A socket's name must be short, so it is bound from its folder, in a process of its own.
    code = "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])"
    assert hasattr(socket, "AF_UNIX")
    subprocess.run([sys.executable, "-c", code, path.name], cwd=path.parent, check=True)


def _turned(*matrix: int) -> Callable[[Path], Path]:
    return lambda folder: turn(write(folder / "v.mp4"), *matrix)


def _truth(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[], Frames]:
    return lambda: [change(frame) for frame in moving()]


def _colours(folder: Path) -> Path:
    def setup(stream: object) -> None:
        stream.codec_context.colorspace, stream.codec_context.color_range = 1, 2  # type: ignore[attr-defined]

    return write(folder / "v.mkv", codec="ffv1", pixels="yuv444p", setup=setup)


def _interlaced(stream: object) -> None:
    stream.codec_context.flags |= 1 << 18 | 1 << 29  # type: ignore[attr-defined]


def _one_keyframe(stream: object) -> None:
    stream.codec_context.gop_size = 600  # type: ignore[attr-defined]


def _title(output: object) -> list[object]:
    output.metadata["title"] = "E:/qqqq"  # type: ignore[attr-defined]
    return []


def _narrow(stream: object) -> None:
    stream.codec_context.sample_aspect_ratio = Fraction(2)  # type: ignore[attr-defined]


def _resized(folder: Path) -> Path:
    parts = [write(folder / "1.h264", moving()[:20]), write(folder / "2.h264", moving(20, 48, 64))]
    path = folder / "v.h264"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def _slots(stream: object) -> None:
    stream.codec_context.time_base = Fraction(1, RATE)  # type: ignore[attr-defined]


def _copied(folder: Path) -> Path:
    """B-frames before the first keyframe that is copied are predicted from frames that are not."""
    gop = "open-gop=1:b-adapt=0:keyint=12:min-keyint=12:scenecut=0"
    source = write(folder / "source.mp4", moving(60), options={"bf": "3", "x264-params": gop})
    return copy_from(source, folder / "v.mp4", 2, 1.1)


def _broken(name: str, edit: Callable[[bytearray], object], **kwargs: object) -> Callable[[Path], Path]:
    return lambda folder: damaged(write(folder / name, **kwargs), edit)  # type: ignore[arg-type]


_FASTSTART = {"movflags": "faststart"}
_PIECES = {"movflags": "frag_keyframe+empty_moov"}
_TIMES = [0, 40, 80, 200, 240, 300, 500, 540, 900, 940, 960, 1000]
_TWELVE = lambda: moving()[:12]  # noqa: E731

_EMPTY_SLOTS = [40 * (i + 3 * (i // 7)) for i in range(FRAMES)]

CASES = [
    Case("plain H.264 with B-frames in MP4", "ok", "frames in order of presentation", _file("v.mp4")),
    Case(
        "metadata that is not UTF-8 (AVI of HMDB51)",
        "ok",
        "metadata is not read",
        lambda folder: splice(
            write(folder / "v.avi", codec="mpeg4", before=_title),
            b"qqqq",
            b"\xff\xfe\xe4\xf6",
        ),
    ),
    Case(
        "variable frame rate",
        "ok",
        "frames as coded, none repeated or dropped; fps is the average",
        _file("v.mkv", moving()[:12], times=_TIMES),
        truth=_TWELVE,
        fps=11.0,
    ),
    Case(
        "AVI with empty frames, which repeat the last one",
        "ok",
        "frames as coded, none repeated; fps is the average",
        _file("v.avi", codec="mpeg4", times=_EMPTY_SLOTS, setup=_slots),
        fps=39 / 2.16,
    ),
    Case("turned by 90°", "ok", "upright", _turned(0, 1, -1, 0), truth=_truth(lambda f: np.rot90(f, -1))),
    Case("turned by 180°", "ok", "upright", _turned(-1, 0, 0, -1), truth=_truth(lambda f: np.rot90(f, 2))),
    Case("turned by 270°", "ok", "upright", _turned(0, -1, 1, 0), truth=_truth(np.rot90)),
    Case("mirrored", "ok", "mirrored back", _turned(-1, 0, 0, 1), truth=_truth(lambda f: f[:, ::-1])),
    Case(
        "odd width and height",
        "ok",
        "as coded",
        _file("v.mkv", moving(5, 47, 63), "ffv1", "bgr0"),
        truth=lambda: moving(5, 47, 63),
    ),
    Case("one frame", "ok", "a video of one frame", _file("v.mp4", moving()[:1]), truth=lambda: moving()[:1]),
    Case("two frames", "ok", "as coded", _file("v.mp4", moving()[:2]), truth=lambda: moving()[:2]),
    Case(
        "4K",
        "ok",
        "as coded; up to 8192×4352 px",
        _file("v.mp4", moving(2, 2160, 3840), options={"preset": "ultrafast"}),
        truth=lambda: moving(2, 2160, 3840),
    ),
    Case(
        "greyscale",
        "ok",
        "three equal channels",
        _file("v.mkv", None, "ffv1", "gray"),
        truth=_truth(lambda f: np.repeat((f @ [0.299, 0.587, 0.114])[..., None], 3, axis=2)),
    ),
    Case("10 bit", "ok", "8 bit; no tone mapping", _file("v.mkv", None, "ffv1", "yuv444p10le")),
    Case("BT.709, full range", "ok", "the declared colour matrix and range are used", _colours),
    Case("alpha", "ok", "the channel is ignored", _file("v.mkv", None, "ffv1", "bgra")),
    Case(
        "interlaced",
        "ok",
        "as coded: both fields in one frame",
        _file("v.ts", None, "mpeg2video", setup=_interlaced),
    ),
    Case("non-square pixels", "ok", "as coded, not stretched", _file("v.mp4", setup=_narrow)),
    Case(
        "negative times", "ok", "frames as coded", _file("v.ts", times=[40 * i - 400 for i in range(FRAMES)])
    ),
    Case("no times (raw H.264 stream)", "ok", "frames in the decoder's order", _file("v.h264")),
    Case(
        "edit list that begins later",
        "ok",
        "frames before the cut are not shown",
        lambda folder: start_later(write(folder / "v.mp4"), 7),
        truth=lambda: moving()[7:],
    ),
    Case(
        "copied from a keyframe of open groups on",
        "ok",
        "frames that the edit list hides are not missed",
        _copied,
        truth=lambda: moving(60)[28:],
    ),
    Case(
        "cover picture as first stream",
        "ok",
        "the first stream that is no cover",
        lambda folder: cover_first(write(folder / "v.mp4", before=cover)),
    ),
    Case("subtitles as first stream", "ok", "only the video is read", _file("v.mkv", before=subtitles)),
    Case("MP4 in fragments", "ok", "as any other", _file("v.mp4", container=_PIECES)),
    Case(
        "name like --ü;'\"$(a):b%d{x} and a newline",
        "ok",
        "a name is never interpreted",
        lambda folder: write(folder / "plain.mp4").rename(folder / "--ü;'\"$(a):b%d{x}\n.mp4"),
    ),
    Case(
        "name that is not UTF-8",
        "ok",
        "a name is never interpreted",
        lambda folder: write(folder / "plain.mp4").rename(folder / os.fsdecode(b"\xff\xfe.mp4")),
    ),
    Case(
        "MPEG-TS cut short",
        "ok",
        "the whole frames before the cut; the format declares no length",
        _broken("v.ts", keep(0.705)),
    ),
    Case(
        "size changes within the video",
        "repaired",
        "scaled to the size of the first frame",
        _resized,
        "size changes from 128x96 to 64x48 px at frame 20",
    ),
    Case(
        "MP4 cut short, index at the front",
        "repaired",
        "the whole frames before the cut",
        _broken("v.mp4", keep(0.7), container=_FASTSTART),
        "only .* of .* can be read|ends after",
    ),
    Case(
        "MP4 in fragments, cut short",
        "repaired",
        "the whole frames before the cut",
        _broken("v.mp4", keep(0.7), container=_PIECES),
        "left out",
    ),
    Case(
        "Matroska cut short",
        "repaired",
        "the whole frames before the cut",
        _broken("v.mkv", keep(0.7)),
        "only .* of .* can be read|ends after",
    ),
    Case(
        "AVI cut short",
        "repaired",
        "the whole frames before the cut",
        _broken("v.avi", keep(0.7), codec="mpeg4"),
        "only .* of .* can be read|ends after",
    ),
    Case(
        "AVI with empty frames, cut short",
        "repaired",
        "the whole frames before the cut",
        _broken("v.avi", keep(0.7), codec="mpeg4", times=_EMPTY_SLOTS, setup=_slots),
        "ends after",
        fps=25.0,
    ),
    Case(
        "copied from a keyframe of open groups on, unreadable sector",
        "repaired",
        "left out up to the next keyframe",
        lambda folder: damaged(_copied(folder), zero(0.5, 4096)),
        "left out",
    ),
    Case(
        "unreadable sector in H.264",
        "repaired",
        "left out up to the next keyframe",
        _broken("v.mp4", zero(0.5, 4096)),
        "left out",
    ),
    Case(
        "unreadable sector in MPEG-4 AVI",
        "repaired",
        "left out up to the next keyframe",
        _broken("v.avi", zero(0.5, 4096), codec="mpeg4"),
        "left out",
    ),
    Case(
        "packets lost in MPEG-TS",
        "repaired",
        "left out up to the next keyframe",
        _broken("v.ts", remove(0.5, 5 * 188)),
        "left out",
    ),
    Case(
        "hole in Matroska",
        "repaired",
        "the frames that are left; a gap in regular times is reported",
        _broken("v.mkv", remove(0.3, 60_000), codec="ffv1", container={"cluster_time_limit": "120"}),
        "are missing before|left out",
    ),
    Case(
        "begins between keyframes",
        "repaired",
        "left out up to the first keyframe",
        _broken("v.ts", remove(0.03, 188 * 60), codec="mpeg4"),
        "left out",
    ),
    Case("empty file", "skipped", "no frame", _text("v.mp4", b""), "is empty"),
    Case("text", "skipped", "no frame", _text("v.mp4", b"this is no video\n" * 50), "cannot be opened"),
    Case(
        "random bytes",
        "skipped",
        "no frame",
        _text("v.mp4", np.random.default_rng(0).bytes(1 << 20)),
        "cannot be opened|no video stream",
    ),
    Case(
        "playlist",
        "skipped",
        "other files and the network are out of reach",
        _text("v.mp4", b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:v.mp4\n#EXT-X-ENDLIST\n"),
        "cannot be opened",
    ),
    Case(
        "list of files for FFmpeg (ffconcat)",
        "skipped",
        "other files and the network are out of reach",
        lambda folder: write(folder / "other.mp4").with_name(
            _text("v.mp4", b"ffconcat version 1.0\nfile other.mp4\n")(folder).name
        ),
        "cannot be opened",
    ),
    Case("sound only", "skipped", "no frame", lambda folder: silence(folder / "v.wav"), "no video stream"),
    Case(
        "sound with a cover picture",
        "skipped",
        "a cover is no video",
        lambda folder: silence(folder / "v.mp3", "libmp3lame", covered=True),
        "cover picture",
    ),
    Case(
        "still image with a video's name",
        "skipped",
        "a still is no video",
        lambda folder: write(folder / "v.png", moving()[:1], "png", "rgb24").rename(folder / "v.mp4"),
        "still image",
    ),
    Case(
        "MP4 without its index (moov)",
        "skipped",
        "sizes of frames are unknown",
        _broken("v.mp4", keep(0.5)),
        "cannot be opened",
    ),
    Case(
        "the only keyframe is damaged",
        "skipped",
        "nothing is whole",
        _broken("v.avi", zero(0.05, 10000), codec="mpeg4", setup=_one_keyframe),
        "no frame can be decoded",
    ),
    Case(
        "header that promises 16000×16000 px",
        "skipped",
        "more than 8192×4352 px",
        lambda folder: huge_header(folder / "v.avi", 16000, 16000),
        "more than 35651584 px",
    ),
    Case(
        "missing file, broken link",
        "skipped",
        "no frame",
        _special("v.mp4", lambda path: path.symlink_to("nowhere")),
        "file is missing",
    ),
    Case("folder", "skipped", "not a file", _special("v.mp4", Path.mkdir), "is a directory"),
    Case("fifo", "skipped", "reading would wait for ever", _special("v.mp4", os.mkfifo), "is a fifo"),
    Case("socket", "skipped", "not a file", _special("v.mp4", _socket), "is a socket"),
    Case(
        "device",
        "skipped",
        "reading would never end",
        _special("v.mp4", lambda path: path.symlink_to("/dev/zero")),
        "is a device",
    ),
]
