"""How fast is our decoder, and what do others make of odd and of damaged files?

    python -m benchmarks.decode [--quick]

Speed: CPU time in one thread, H.264 in MP4 and MPEG-4 in AVI, 340 x 256 px, RGB frames as arrays; decord and
torchcodec take part where they are installed. Odd files: the table of ``benchmarks/odd_videos.py`` given to
``cv2.VideoCapture``, which reports no damage. Damage: bytes of whole files are overwritten at random, and
every frame that comes out is compared with those of the whole file. The last line is one JSON object;
``ratio`` is our speed over that of ``cv2``, the lower of the two formats.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import importlib.util
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from benchmarks.odd_videos import CASES, Case
from benchmarks.video_files import moving, twin, write
from cocon.video import VideoError, decode, open_video

CODING = 6
_WITH_CV2 = """
import sys, cv2, numpy as np
capture, frames = cv2.VideoCapture(sys.argv[1], cv2.CAP_FFMPEG), []
while len(frames) < 500 and (read := capture.read())[0]:
    frames.append(read[1][..., ::-1])
np.savez(sys.argv[2], *frames)
"""

Frames = list[np.ndarray]


def with_cv2(path: Path) -> Iterator[np.ndarray]:
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    while (read := capture.read())[0]:
        yield cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB)


def with_decord(path: Path) -> Iterator[np.ndarray]:
    import decord

    for frame in decord.VideoReader(str(path), num_threads=1):
        yield frame.asnumpy()


def with_torchcodec(path: Path) -> Iterator[np.ndarray]:
    from torchcodec.decoders import VideoDecoder

    for frame in VideoDecoder(str(path), dimension_order="NHWC", num_ffmpeg_threads=1):
        yield frame.numpy()


def decoders() -> dict[str, Callable[[Path], Iterator[np.ndarray]]]:
    known = {"decord": with_decord, "torchcodec": with_torchcodec}
    return {"ours": decode, "cv2": with_cv2} | {
        name: read for name, read in known.items() if importlib.util.find_spec(name)
    }


def speed(folder: Path, frames: int, repetitions: int) -> dict[str, dict[str, float]]:
    """Frames per second of CPU time, the best of the repetitions, and the mean difference to ours."""
    pictures = moving(frames, 256, 340)
    paths = {
        "h264": write(folder / "speed.mp4", pictures),
        "mpeg4": write(folder / "speed.avi", pictures, "mpeg4"),
    }
    figures: dict[str, dict[str, float]] = {}
    for form, path in paths.items():
        seconds = collections.defaultdict(lambda: float("inf"))
        for _ in range(repetitions):
            for name, read in decoders().items():
                began = time.process_time()
                assert sum(1 for _ in read(path)) == frames, name
                seconds[name] = min(seconds[name], time.process_time() - began)
        ours = list(decode(path))
        figures[form] = {name: round(frames / value) for name, value in seconds.items()}
        for name, read in decoders().items():
            if name != "ours":
                others = zip(ours, read(path), strict=True)
                difference = np.mean([np.abs(a.astype(int) - b).mean() for a, b in others])
                figures[form][f"{name}_difference"] = round(float(difference), 4)
    return figures


def frames_of_cv2(path: Path, folder: Path) -> Frames | None:
    """The frames that cv2 reads, in a process of its own; None: it did not end."""
    output = folder / "frames.npz"
    command = [sys.executable, "-c", _WITH_CV2, path, output]
    try:
        subprocess.run(command, timeout=15, check=True, capture_output=True)
    except subprocess.TimeoutExpired:
        return None
    except subprocess.CalledProcessError:
        return []
    with np.load(output) as arrays:
        return [arrays[name] for name in arrays.files]


def close(frame: np.ndarray, other: np.ndarray) -> bool:
    return frame.shape == other.shape and float(np.abs(frame.astype(int) - other).mean()) < CODING


def verdict(case: Case, path: Path, theirs: Frames | None) -> str:
    """What another decoder did with a file, compared with the table."""
    if theirs is None:
        return "hangs"
    if case.outcome == "skipped":
        return "gives frames" if theirs else "right"
    if not theirs:
        return "gives nothing"
    right = case.truth() if case.outcome == "ok" and not twin(path).exists() else list(decode(path))
    same = len(right) == len(theirs) and all(map(close, right, theirs))
    if case.outcome == "ok":
        return "right" if same else "other frames, no error"
    return "same frames, damage not reported" if same else "damaged frames, no error"


def odd_files(folder: Path) -> dict[str, list[str]]:
    """The cases by what cv2 makes of them."""
    result: dict[str, list[str]] = {}
    for number, case in enumerate(CASES):
        place = folder / str(number)
        place.mkdir()
        path = case.make(place)
        result.setdefault(verdict(case, path, frames_of_cv2(path, place)), []).append(case.name)
    return result


def ours_or_nothing(path: Path) -> tuple[Frames, bool]:
    """Frames, and whether damage was reported."""
    with contextlib.suppress(VideoError), open_video(path) as video:
        return list(video), bool(video.reason)
    return [], True


def damage(folder: Path, files: int) -> dict[str, dict[str, float]]:
    """Wrong frames per file, and files passed off as whole, of each decoder."""
    rng = random.Random(0)
    names = {"h264.mp4": "libx264", "h264.ts": "libx264", "mpeg4.avi": "mpeg4", "mpeg2.ts": "mpeg2video"}
    total: dict[str, collections.Counter[str]] = {"ours": collections.Counter(), "cv2": collections.Counter()}
    for name, codec in names.items():
        whole = write(folder / name, codec=codec)
        data = whole.read_bytes()
        right = {"ours": {f.tobytes() for f in decode(whole)}, "cv2": {f.tobytes() for f in with_cv2(whole)}}
        broken = twin(whole)
        for _ in range(files):
            at, length = rng.randrange(2000, len(data) - 6000), rng.choice([1, 64, 4096])
            broken.write_bytes(data[:at] + rng.randbytes(length) + data[at + length :])
            frames, reported = ours_or_nothing(broken)
            read = {"ours": (frames, reported), "cv2": (list(with_cv2(broken)), False)}
            for decoder, (frames, reported) in read.items():
                wrong = sum(frame.tobytes() not in right[decoder] for frame in frames)
                kept = len(frames) - wrong
                total[decoder].update(wrong=wrong, kept=kept, silent=bool(wrong and not reported), files=1)
    return {
        decoder: {
            "files": count["files"],
            "wrong_frames_per_file": round(count["wrong"] / count["files"], 2),
            "whole_frames_per_file": round(count["kept"] / count["files"], 2),
            "files_with_wrong_frames_unreported": count["silent"],
        }
        for decoder, count in total.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer frames and files, under 50 s")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        figures = speed(Path(name), *((300, 3) if options.quick else (600, 7)))
        for form, values in figures.items():
            print(form, values)
        damaged = damage(Path(name), 15 if options.quick else 100)
        for decoder, values in damaged.items():
            print(decoder, values)
        cases = odd_files(Path(name))
        for what, which in sorted(cases.items()):
            print(f"cv2: {what}: {len(which)} of {len(CASES)}" + "".join(f"\n    {case}" for case in which))
    ratio = min(values["ours"] / values["cv2"] for values in figures.values())
    counts = {what: len(which) for what, which in cases.items()}
    print(
        json.dumps(
            {"ratio": round(ratio, 3), "frames_per_s": figures, "damage": damaged, "odd_files_cv2": counts}
        )
    )


if __name__ == "__main__":
    main()
