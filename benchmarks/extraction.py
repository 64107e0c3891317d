"""Do decoding, inference and writing run at the same time, so that only the slowest of them counts?

    python -m benchmarks.extraction [--quick]

Extracts real clips (COCON_SHARED_DATA, default ../shared/data; rendered ones where there are none) twice per
round, with two threads: with the stages taking turns, which tells how long each of them takes alone, and with
the stages side by side. Three loads: rgb only, whose encoding takes most; rgb and flow by DIS, which runs on
one core; all four views, where MoveNet keeps both cores busy by itself. Times are the shortest of several
rounds. The last line is one JSON object; ``ratio`` is the slowest stage's own time over the wall clock of the
pipeline, for rgb and flow: 1 is ideal. The other loads are there to be seen: the first has little to hide
behind its slowest stage, and in the last no core is left to hide anything. A second busy process on two cores
spoils the wall clock; the CPU time that running side by side adds is measured too.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cocon import assets
from cocon.config.schema import FlowExtraction, MaskExtraction, PoseExtraction, RgbExtraction
from cocon.errors import CoConError
from cocon.video import open_video
from view_extractors.base import Extractor, Output, Resources
from view_extractors.flow.dis import Dis
from view_extractors.mask.selfie import SelfieMask
from view_extractors.pipeline import stages
from view_extractors.pipeline.inputs import from_names
from view_extractors.pipeline.progress import STAGES
from view_extractors.pipeline.rendered import write_sample
from view_extractors.pipeline.run import extract
from view_extractors.pose.movenet import MoveNetPose
from view_extractors.rgb.decode import Rgb

Load = Callable[[], list[Extractor]]
FOLDERS = ("ucf101", "hmdb51", "kinetics400")


def loads() -> dict[str, Load]:
    """What is extracted; persons only if the weights are available."""
    flow = FlowExtraction(backend="dis")
    found: dict[str, Load] = {
        "rgb": lambda: [Rgb(RgbExtraction())],
        "rgb, flow": lambda: [Rgb(RgbExtraction()), Dis(flow)],
    }
    try:
        for name in ("movenet", "selfie"):
            assets.fetch(name)
    except CoConError as error:
        print(f"without mask and pose: {error}")
        return found
    people: Load = lambda: [  # noqa: E731
        Rgb(RgbExtraction()),
        Dis(flow),
        SelfieMask(MaskExtraction()),
        MoveNetPose(PoseExtraction()),
    ]
    return {**found, "all four": people}


def clips(folder: Path, frames: int) -> dict[str, Path]:
    """Short real clips first, until they have this many frames together."""
    shared = Path(os.environ.get("COCON_SHARED_DATA", "../shared/data")) / "clips"
    names = [shared / name for name in FOLDERS if (shared / name).is_dir()]
    if not names:
        return {
            str(i): write_sample(folder / f"{i}.mkv", 60, (240, 320), "libx264") for i in range(frames // 60)
        }
    found, lengths = from_names(names), {}
    for key, path in found.items():
        with open_video(path) as video:
            lengths[key] = video.expected_frames
    chosen: dict[str, Path] = {}
    for key in sorted(found, key=lambda key: lengths[key]):
        if sum(lengths[other] for other in chosen) < frames:
            chosen[key] = found[key]
    return chosen


@contextmanager
def in_turns() -> Iterator[None]:
    """Every stage waits for the others, with as many threads as they have side by side."""
    depth = stages._DEPTH
    stages._DEPTH = 0
    try:
        yield
    finally:
        stages._DEPTH = depth


def run(videos: dict[str, Path], load: Load) -> tuple[float, dict[str, float], int]:
    """Seconds of the wall clock, shards assembled and verified, and of each stage; frames."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Output(e, Path(folder, f"{e.view}.h5")) for e in load()]
        summary = extract(videos, outputs, resources=Resources(2, "cpu"))
        return summary.seconds, summary.busy, summary.frames


def measure(videos: dict[str, Path], load: Load, rounds: int) -> dict[str, Any]:
    walls, turns, alone, cpu_turns, cpu_beside = [], [], [], [], []
    for _ in range(rounds):
        began = time.process_time()
        with in_turns():
            seconds, busy, frames = run(videos, load)
        cpu_turns.append(time.process_time() - began)
        turns.append(seconds)
        alone.append(busy)
        began = time.process_time()
        walls.append(run(videos, load)[0])
        cpu_beside.append(time.process_time() - began)
    best = {stage: min(busy[stage] for busy in alone) for stage in STAGES}
    return {
        **{stage: round(1000 * seconds / frames, 2) for stage, seconds in best.items()},
        "in_turns": round(1000 * min(turns) / frames, 2),
        "side_by_side": round(1000 * min(walls) / frames, 2),
        "frames_per_second": round(frames / min(walls), 1),
        "more_cpu_side_by_side": round(min(cpu_beside) / min(cpu_turns) - 1, 3),
        "ratio": round(max(best.values()) / min(walls), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer clips and rounds, under 50 s")
    options = parser.parse_args()
    rounds = 3 if options.quick else 7
    with tempfile.TemporaryDirectory() as folder:
        videos = clips(Path(folder), 100 if options.quick else 300)
        load_before = os.getloadavg()[0]
        figures = {}
        for name, load in loads().items():
            figures[name] = measure(videos, load, rounds)
            print(f"{name:<10} ms per frame: {figures[name]}", flush=True)
    ratio = figures["rgb, flow"]["ratio"]
    others = {
        "clips": len(videos),
        "rounds": rounds,
        "cores": os.cpu_count(),
        "load_before": round(load_before, 2),
    }
    print(json.dumps({"ratio": ratio, **others, "ms_per_frame": figures}))


if __name__ == "__main__":
    main()
