"""The demo, very small, through the cluster: Snakemake is killed, a job is cancelled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.slurm.cluster import Cluster, wait_until
from tests.tiny import DEMO, RECIPE

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(3000)]

#: several of them at a time on a node of the cluster
SMALL = {"threads": 1, "memory_mb": 4000}
DOCUMENT = {
    "views": ["rgb", "flow"],
    "jobs": {
        **dict.fromkeys(("extract", "pretrain_stage1", "features", "finetune"), SMALL),
        "pretrain_stage2": {"threads": 2, "memory_mb": 2000},
    },
    "datasets": {"demo": DEMO},
    "recipes": {"tiny": RECIPE},
}


def rows(folder: Path) -> list[dict[str, Any]]:
    document = json.loads((folder / "results/demo/summary.json").read_text())
    return sorted(document["rows"], key=lambda row: (row["view"], row["protocol"]))


@pytest.fixture(scope="module")
def here(new_run, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The same on this machine, without SLURM."""
    run = new_run(tmp_path_factory.mktemp("here"))
    run.configure(DOCUMENT)
    run.finish(run.start_here("eval_demo"))
    return run


@pytest.fixture(scope="module")
def story(new_run, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A run with everything that can happen to it; what was seen on the way."""
    run = new_run(tmp_path_factory.mktemp("there"))
    run.configure(DOCUMENT)

    def finished() -> list[Path]:
        """The shards of the jobs that SLURM knows to be done."""
        names = [job.comment.split("_")[-2:] for job in run.sent("extract", "COMPLETED")]
        return [run.folder / f"results/demo/shards/{view}/{shard}.h5" for view, shard in names]

    process = run.start("eval_demo")
    wait_until(lambda: finished() and run.sent("extract", "RUNNING"), "one shard of several", 600)
    process.kill()
    process.wait()
    seen = {"run": run, "left": run.sent("extract", "RUNNING"), "sent": run.sent("extract")}
    seen["shards"] = {path: path.stat().st_mtime_ns for path in finished()}

    process = run.start("eval_demo")
    wait_until(lambda: run.sent("pretrain_stage2", "RUNNING"), "stage 2", 900)
    cluster.ask("scancel", *(job.number for job in run.sent("pretrain_stage2")))
    run.finish(process)
    return seen


def test_the_table_is_that_of_one_machine(story, here) -> None:
    assert len(rows(here.folder)) == 3, "two views and their ensemble"
    assert rows(story["run"].folder) == rows(here.folder)


def test_after_a_kill_finished_shards_are_kept_and_orphans_end(story) -> None:
    assert story["left"], "SLURM's jobs outlive the Snakemake that sent them"
    assert story["shards"]
    assert all(path.stat().st_mtime_ns == written for path, written in story["shards"].items())
    now = {job.number: job.state for job in story["run"].sent("extract")}
    assert {now[job.number] for job in story["left"]} <= {"CANCELLED", "COMPLETED"}
    assert len(now) <= len(story["sent"]) + 4 - len(story["shards"])


def test_a_cancelled_job_is_sent_again_with_more_memory(story) -> None:
    sent = [(job.state, job.memory) for job in story["run"].sent("pretrain_stage2")]
    assert sent == [("CANCELLED", "2000M"), ("COMPLETED", "4000M")]


def test_small_rules_share_a_job_and_logs_are_found(story) -> None:
    logs = story["run"].folder / "logs" / "slurm"
    assert list(logs.glob("rule_pretrain_stage2/**/*.log"))
    # features, probe and report would be seven jobs; they are one for each view, and two
    assert len(list(logs.glob("group_*/**/*.log"))) == 4
    assert "videos" in (story["run"].folder / "results/demo/logs/pretrain/cocon.log").read_text()
