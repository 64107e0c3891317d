"""How long does it take to plan Kinetics-400, and what does a shard more or less cost?

    python -m benchmarks.plan [--quick]

Writes official tables of 240,000 clips in 400 classes and an empty file for each, and has Snakemake plan all
of it in a dry run: four views, both stages of pretraining, every evaluation, the report, with the recipe and
the number of shards of config.yaml. Each plan is a process of its own, whose wall clock, CPU time and peak
resident memory are read at its end. Then the same with other numbers of shards. The last line is one JSON
object; ``seconds`` is the median wall clock with the number of shards of config.yaml.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cocon.config.config_files import stacked

REPOSITORY = Path(__file__).parent.parent
NAME = "kinetics400"
#: clips that can still be had, and classes; clips per class for validation
CLIPS, CLASSES, VALIDATION = 240_000, 400, 50
OTHER_SHARDS = (100, 200, 800, 1200)


@dataclass(frozen=True)
class Plan:
    """What one dry run took."""

    jobs: int
    seconds: float
    cpu_seconds: float
    peak_mb: float


def write_data_set(folder: Path) -> None:
    """The official tables, and an empty file for every clip."""
    of_class = CLIPS // CLASSES
    for name, first, last in (("train", VALIDATION, of_class), ("val", 0, VALIDATION)):
        rows = []
        for label in (f"action number {n}" for n in range(CLASSES)):
            below = folder / "videos" / name / label.replace(" ", "_")
            below.mkdir(parents=True)
            for n in range(first, last):
                clip = f"{label[14:]:-<4}{n:07}"
                os.close(os.open(below / f"{clip}_000010_000020.mp4", os.O_CREAT | os.O_WRONLY))
                rows.append((label, clip, 10, 20, name))
        with (folder / f"{name}.csv").open("w", newline="") as handle:
            writer = csv.writer(handle)
            writer.writerow(("label", "youtube_id", "time_start", "time_end", "split"))
            writer.writerows(rows)


def shipped() -> dict[str, Any]:
    """The shipped configuration, with what it includes."""
    document, _ = stacked([REPOSITORY / "config.yaml"])
    del document["include"]
    return document


def shipped_shards() -> int:
    shards: int = shipped()["datasets"][NAME]["shards"]
    return shards


def write_config(folder: Path, shards: int) -> None:
    """The shipped configuration, with Kinetics-400 in the folder, all views and this many shards."""
    config = shipped()
    changes = {"videos": "videos", "lists": ".", "views": config["views"], "shards": shards}
    config["datasets"][NAME] |= changes
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


def plan(folder: Path, shards: int, target: str = f"eval_{NAME}") -> Plan:
    """One dry run; by default of everything."""
    write_config(folder, shards)
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile")]
    command += ["--directory", str(folder), "--cores", "2", "--nocolor", "--dry-run", target]
    # Modules are compiled once and cached, as by default.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with (folder / "plan.log").open("w") as log:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
    printed = (folder / "plan.log").read_text()
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(printed[-3000:])
    jobs = int(re.findall(r"^total +(\d+)$", printed, re.M)[-1])
    return Plan(jobs, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def median(plans: Iterable[Plan]) -> dict[str, float]:
    plans = list(plans)
    return {
        "jobs": plans[0].jobs,
        "seconds": round(statistics.median(p.seconds for p in plans), 2),
        "cpu_seconds": round(statistics.median(p.cpu_seconds for p in plans), 2),
        "peak_mb": round(max(p.peak_mb for p in plans)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="without other numbers of shards, under 50 s")
    options = parser.parse_args()
    shipped = shipped_shards()
    numbers = [shipped] if options.quick else sorted({shipped, *OTHER_SHARDS})
    curve = {}
    with tempfile.TemporaryDirectory() as name:
        write_data_set(Path(name))
        plan(Path(name), 1, "export_demo")  # whatever happens once
        for shards in numbers:
            curve[shards] = median(plan(Path(name), shards) for _ in range(1 if options.quick else 3))
            print(
                f"{shards:5} shards of {CLIPS // shards:4} clips: "
                + " ".join(f"{figure} {value}" for figure, value in curve[shards].items()),
                flush=True,
            )
    others = {"clips": CLIPS, "shards": shipped, "load": round(os.getloadavg()[0], 2)}
    print(json.dumps({**curve[shipped], **others, "curve": curve}))


if __name__ == "__main__":
    main()
