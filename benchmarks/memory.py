"""Does the memory of an extraction grow with the length of the video?

    python -m benchmarks.memory [--quick]

Videos of 1 and 10 minutes go through the extraction of all four views (rgb, flow by Farneback, mask and pose
by the defaults), each in a process of its own whose peak resident memory is read at the end. They are encoded
piece by piece here, so that this process stays small too. The last line is one JSON object; ``ratio`` is the
peak at 10 minutes over that at 1 minute, ``decoder_ratio`` the same of decoding alone.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import av

from benchmarks.video_files import moving

MINUTES = (1, 10)
_DECODE = """
import resource, sys
from pathlib import Path
from cocon.video import decode
frames = sum(1 for _ in decode(Path(sys.argv[1])))
print(frames, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
_EXTRACT = """
import resource, sys
from pathlib import Path
from cocon.config.schema import Extraction
from cocon.shards import Shard
from view_extractors.base import Output
from view_extractors.registry import extractor_class
from view_extractors.pipeline.run import extract
settings = Extraction.model_validate({"flow": {"backend": "farneback"}})
outputs = []
for view in ("rgb", "flow", "mask", "pose"):
    section = getattr(settings, view)
    extractor = extractor_class(view, getattr(section, "backend", None))(section)
    outputs.append(Output(extractor, Path(sys.argv[2], f"{view}.h5")))
extract({"video": Path(sys.argv[1])}, outputs)
frames = {Shard(output.path).videos["video"].frames for output in outputs}
assert len(frames) == 1, frames
print(*frames, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def long_video(path: Path, minutes: int, rate: int, height: int, width: int) -> Path:
    """A window that moves to and fro over a texture."""
    there = moving(50, height, width)
    frames = there + there[::-1]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(rate))
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for number in range(minutes * 60 * rate):
            frame = av.VideoFrame.from_ndarray(frames[number % len(frames)], format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def peak(code: str, *arguments: Path) -> tuple[int, float]:
    """Frames and peak resident MiB of a process."""
    run = subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True)
    frames, kilobytes = map(int, run.stdout.split()[-2:])
    return frames, kilobytes / 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small frames, 2 per second; under 50 s")
    options = parser.parse_args()
    rate, height, width = (2, 96, 128) if options.quick else (25, 240, 320)
    figures: dict[str, dict[str, float]] = {"decode": {}, "extract": {}}
    with tempfile.TemporaryDirectory() as name:
        for minutes in MINUTES:
            video = long_video(Path(name, f"{minutes}.avi"), minutes, rate, height, width)
            folder = Path(name, str(minutes))
            folder.mkdir()
            for stage, run in {"decode": (_DECODE, video), "extract": (_EXTRACT, video, folder)}.items():
                frames, mebibytes = peak(*run)
                assert frames == minutes * 60 * rate
                figures[stage][f"{minutes} min"] = round(mebibytes, 1)
                print(f"{stage:<8} {minutes:>3} min {frames:6d} frames: peak {mebibytes:7.1f} MiB")
    ratios = {stage: values["10 min"] / values["1 min"] for stage, values in figures.items()}
    shape = {"frames_per_s": rate, "height": height, "width": width}
    print(
        json.dumps(
            {
                "ratio": round(ratios["extract"], 3),
                "decoder_ratio": round(ratios["decode"], 3),
                "peak_mib": figures,
                "video": shape,
            }
        )
    )


if __name__ == "__main__":
    main()
