"""Extraction from video files to a shard: frames/s, and the time of each stage."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.on_gpu.rows import Measurement, Row, Skipped, Task, forget_peak, peak_mb
from benchmarks.on_gpu.tvl1 import TRAFFIC, pixel_iterations
from cocon.config.schema import Tvl1PresetParameters
from view_extractors.arguments import available_cores, extractor_of
from view_extractors.base import Output, Resources
from view_extractors.flow.tvl1.scheme import scheme_of
from view_extractors.pipeline.progress import STAGES
from view_extractors.pipeline.rendered import write_sample
from view_extractors.pipeline.run import extract


@dataclass(frozen=True)
class Sort:
    """Videos of one content: how many, frames of each, height and width in px."""

    count: int
    frames: int
    size: tuple[int, int]

    def tiny(self) -> Sort:
        """For the smoke test."""
        return Sort(2, 6, (48, 64))


USUAL = Sort(16, 180, (240, 320))
#: batches are of several videos
SHORT = Sort(128, 30, (128, 128))


def measurements(task: Task) -> Iterator[Measurement]:
    usual, short = (USUAL.tiny(), SHORT.tiny()) if task.quick else (USUAL, SHORT)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        videos, clips = write(usual, folder / "videos"), write(short, folder / "short")
        for preset in ("exact", "fast"):
            name = f"extraction flow {preset}"
            yield Measurement(name, 15, partial(flow, task, usual, videos, folder, preset))
        yield Measurement("extraction flow, command", 20, partial(command, task, folder))
        name = "extraction flow, short videos"
        yield Measurement(name, 15, partial(flow, task, short, clips, folder, "exact"))


def write(sort: Sort, folder: Path) -> dict[str, Path]:
    """The videos, rendered."""
    folder.mkdir()
    first = write_sample(folder / "0.mkv", sort.frames, sort.size, "libx264")
    videos = {"0": first}
    for number in range(1, sort.count):
        videos[str(number)] = Path(shutil.copy(first, folder / f"{number}.mkv"))
    return videos


def settings(task: Task, preset: str) -> str:
    side = ", short_side: 32" if task.quick else ""
    return f"{{backend: tvl1, tvl1: {{preset: {preset}}}{side}}}"


def flow(task: Task, sort: Sort, videos: dict[str, Path], folder: Path, preset: str) -> Row:
    """In this process, after one video that is not counted: kernels compile in it."""
    resources = Resources(available_cores(), task.device)

    def run(chosen: dict[str, Path], run_name: str) -> tuple[float, dict[str, float], int]:
        output = Output(
            extractor_of("flow", settings(task, preset)), folder / f"{preset}_{sort.count}_{run_name}.h5"
        )
        summary = extract(chosen, [output], resources=resources)
        return summary.seconds, summary.busy, summary.frames

    run(dict(list(videos.items())[:1]), "first")
    forget_peak(task.place)
    seconds, busy, frames = run(videos, "all")
    scheme = scheme_of(Tvl1PresetParameters.model_validate({"preset": preset}))
    traffic = TRAFFIC * pixel_iterations(scheme, *sort.size)
    return {
        "rate": round(frames / seconds, 1),
        "unit": "frames/s",
        "share": task.share(frames / seconds * traffic, "copy"),
        "memory_mb": peak_mb(task.place),
        **{f"{stage}_ms": round(1000 * busy[stage] / frames, 3) for stage in STAGES},
        **{f"{stage}_busy": round(busy[stage] / seconds, 2) for stage in STAGES},
    }


def command(task: Task, folder: Path) -> Row:
    """``view-extractors flow`` from its start to its end."""
    if task.quick:
        raise Skipped("not in the smoke test")
    arguments = ("flow", str(folder / "videos"), "--output", str(folder / "command.h5"))
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "view_extractors", *arguments, "--device", task.device],
        check=True,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, filter(None, sys.path)))},
        timeout=max(1, task.left()),
    )
    took = time.perf_counter() - began
    frames = USUAL.frames * len(list((folder / "videos").iterdir()))
    return {"rate": round(frames / took, 1), "unit": "frames/s", "seconds": round(took, 1)}
