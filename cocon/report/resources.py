"""Time and memory of every stage from Snakemake's benchmark files, and bytes on disk."""

from __future__ import annotations

import csv
import math
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from cocon.pretrainings import PRETRAININGS
from cocon.report.inputs import ENSEMBLE, Inputs, PageSection
from cocon.views import VIEWS

_EVALUATED = "|".join([*VIEWS, ENSEMBLE])
#: the benchmark file of what an evaluation makes of one pretraining, with its view if it has one
_EVALUATION = re.compile(rf"(.+?)_(?:{'|'.join(PRETRAININGS)})(?:_(?:{_EVALUATED}))?_split\w+")


@dataclass(frozen=True)
class JobCost:
    """One benchmark file: of which stage, how long, how much memory at most (MiB)."""

    stage: str
    seconds: float
    memory: float


@dataclass(frozen=True)
class StageCost:
    """All jobs of one stage."""

    name: str
    jobs: int
    seconds: float
    longest: float
    memory: float


@dataclass(frozen=True)
class Storage:
    """Files of one kind."""

    name: str
    files: int
    size: int
    per_video: float | None = None


@dataclass
class ResourcesSection(PageSection):
    """Stages by total time, and storage."""

    stages: list[StageCost] = field(default_factory=list)
    storage: list[Storage] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Sum over all jobs."""
        return sum(stage.seconds for stage in self.stages)

    @property
    def bytes(self) -> int:
        """Sum over all files that are listed."""
        return sum(entry.size for entry in self.storage)


def section(inputs: Inputs) -> ResourcesSection:
    """Sum the benchmark files by stage, and the files of the results folder by kind."""
    page = ResourcesSection("resources", "Time and storage", "Time")
    folder = inputs.results / "benchmarks"
    jobs = all_benchmarks(inputs.results)
    if not jobs:
        page.missing.append(f"There are no benchmark files in {folder}, so times are not known.")
    by_stage: defaultdict[str, list[JobCost]] = defaultdict(list)
    for job in jobs:
        by_stage[job.stage].append(job)
    page.stages = sorted(
        (
            StageCost(
                name, len(jobs), sum(job.seconds for job in jobs), max(job.seconds for job in jobs),
                max(job.memory for job in jobs),
            )
            for name, jobs in by_stage.items()
        ),
        key=lambda stage: -stage.seconds,
    )  # fmt: skip
    page.storage = _storage(inputs)
    if not page.storage:
        page.missing.append(f"There are no shards, checkpoints or features in {inputs.results}.")
    return page


def folders(results: Path) -> list[Path]:
    """The folder of a data set, and those of splits that have encoders of their own."""
    return [results, *sorted(results.glob("split*"))]


def all_benchmarks(results: Path) -> list[JobCost]:
    """The benchmark files of a data set."""
    return [job for folder in folders(results) for job in read_benchmarks(folder / "benchmarks")]


def read_benchmarks(folder: Path) -> list[JobCost]:
    """Read all ``.tsv`` files below ``folder``; repeats of a job are averaged.

    Snakemake writes ``-`` or ``NA`` where a job was too short to be measured; that counts as 0.
    """
    jobs = []
    for path in sorted(folder.rglob("*.tsv")):
        parts = path.relative_to(folder).with_suffix("").parts
        try:
            with path.open(newline="", encoding="utf-8", errors="replace") as handle:
                rows = list(csv.DictReader(handle, delimiter="\t"))
        except (OSError, csv.Error):
            continue
        seconds = [_number(row.get("s")) for row in rows]
        if seconds:
            memory = max(_number(row.get("max_rss")) for row in rows)
            jobs.append(JobCost(stage_of(parts), sum(seconds) / len(seconds), memory))
    return jobs


def stage_of(parts: tuple[str, ...]) -> str:
    """The stage that a benchmark file belongs to, from its path without the suffix.

    ``extract/mask_pose_00003`` is "extract mask + pose", ``evaluation/linear_sgd_cocon_rgb_split1`` is
    "linear_sgd"; elsewhere the folder is the stage, split by pretraining.
    """
    folder, *names = parts
    if not names:
        return folder
    name = "/".join(names)
    if folder == "extract":
        return f"extract {name.rpartition('_')[0].replace('_', ' + ')}"
    if folder == "evaluation":
        found = _EVALUATION.fullmatch(name)
        return found[1] if found else name.partition("_split")[0]
    if folder == "pretrain":
        return f"pretrain {name.replace('stage1_', 'stage1, ')}"
    return folder


def _number(text: str | None) -> float:
    try:
        value = float(text or 0)
    except (ValueError, TypeError):
        return 0.0
    return value if math.isfinite(value) else 0.0


def _storage(inputs: Inputs) -> list[Storage]:
    entries = []
    for view in inputs.views:
        if view in inputs.shards:
            sizes = [shard.path.stat().st_size for shard in inputs.shards[view].shards]
            videos = sum(row.usable for row in inputs.tables[view].values())
            entries.append(Storage(f"shards, {view}", len(sizes), sum(sizes), sum(sizes) / max(1, videos)))
    for name, pattern in (
        ("checkpoints", "pretrain/*/*.safetensors"),
        ("features", "features/*/*.h5"),
        ("scores", "evaluation/**/*.npz"),
    ):
        paths = (path for folder in folders(inputs.results) for path in folder.glob(pattern))
        sizes = [path.stat().st_size for path in paths]
        if sizes:
            entries.append(Storage(name, len(sizes), sum(sizes)))
    return entries
