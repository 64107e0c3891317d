"""The cost of the extraction, measured on this machine by ``view-extractors estimate``."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cocon.config.load import dump_settings
from cocon.config.schema import Config, Dataset, DemoDataset
from cocon.datasets.checks import without_file
from cocon.datasets.manifest import Video
from cocon.datasets.registry import source
from cocon.errors import CoConError
from cocon.workflow.documents.extraction import passes


@dataclass(frozen=True)
class ViewCost:
    """What one frame of a view costs.

    Attributes:
        seconds: on one core, or on a GPU together with cores, without the work that another view's pass does
            for it.
        bytes: that are stored.
        on_gpu: whether its network runs on a GPU.
    """

    seconds: float
    bytes: float
    on_gpu: bool


@dataclass(frozen=True)
class ExtractionCosts:
    """Per view the cost of a frame; the frames of all videos; what was assumed."""

    views: dict[str, ViewCost]
    frames: int
    assumed: tuple[str, ...]


def measure_extraction(config: Config, dataset: Dataset, videos: Sequence[Video]) -> ExtractionCosts:
    """Measure every pass with the settings, the device and the interpreters of the configuration.

    The videos that are there are measured; a rendered one if there are none.

    Raises:
        CoConError: a backend is not installed, or a video cannot be read; with the tool's message.
    """
    extraction = config.recipes[dataset.recipe].extraction
    views: dict[str, ViewCost] = {}
    interpreters: dict[str, Path] = dict(config.interpreters.items())
    frames, assumed = 0, dict[str, None]()
    missing = {video.id for video in without_file(videos)}
    present = [video for video in videos if video.id not in missing]
    # This machine need not be the one that the jobs will run on.
    device = "cpu" if config.device == "cpu" else "auto"
    with tempfile.TemporaryDirectory() as folder:
        amount = _amount(dataset, videos, present, Path(folder))
        for together in passes(config.recipes[dataset.recipe], config.views):
            backend = getattr(getattr(extraction, together[0]), "backend", "")
            python = str(interpreters.get(backend, sys.executable))
            settings = [
                argument
                for view in together
                for argument in ("--settings", view, dump_settings(getattr(extraction, view)))
            ]
            command = [python, "-m", "view_extractors", "estimate", *together, *settings, *amount]
            found = _ask([*command, "--json", "--device", device])
            frames = round(found["frames"] * len(videos) / len(present)) if present else found["frames"]
            assumed |= dict.fromkeys(line for line in found["assumed"] if "cores" not in line)
            for view, cost in found["views"].items():
                stages = (cost["decode"], cost["inference"], cost["write"])
                seconds = max(stages) if cost["on_gpu"] else sum(stages)
                views[view] = ViewCost(seconds, cost["bytes"], cost["on_gpu"])
    return ExtractionCosts(views, frames, tuple(assumed))


def _amount(dataset: Dataset, videos: Sequence[Video], present: Sequence[Video], folder: Path) -> list[str]:
    """Arguments of the tool: the amount of data, and the sample to measure with."""
    if present:
        table = folder / "present.csv"
        with table.open("w", newline="", encoding="utf-8", errors="surrogateescape") as handle:
            writer = csv.writer(handle)
            writer.writerow(("id", "path"))
            writer.writerows((video.id, video.path.absolute()) for video in present)
        return ["--manifest", str(table)]
    if isinstance(dataset, DemoDataset):
        size, frames = f"{dataset.size}x{dataset.size}", dataset.frames * len(videos)
        return ["--videos", str(len(videos)), "--frames", str(frames), "--size", size]
    if source(dataset.kind).official.extent is None:
        raise CoConError(
            f"none of the {len(videos)} videos exists, so their length is unknown",
            f"put them below {dataset.videos}; a few are enough for a plan",
        )
    return ["--dataset", dataset.kind]


def _ask(command: list[str]) -> Any:
    # An interpreter of its own does not know this project.
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    if result.returncode:
        said = result.stderr.strip().splitlines() or ["nothing"]
        raise CoConError(
            f"`{' '.join(command[1:5])}` could not measure: {said[0]}",
            said[1].strip().removeprefix("hint: ") if len(said) > 1 else "run it alone to see more",
        )
    return json.loads(result.stdout)
