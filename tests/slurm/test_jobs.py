"""`cocon lease` and `cocon launch` in jobs of a cluster: devices, ranks, signals."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from pathlib import Path

import pytest

from tests.slurm.cluster import GPUS, NODES, Cluster, wait_until

pytestmark = pytest.mark.slurm

#: notes where it ran, on which devices, from when to when
WORK = 'began=$(date +%s.%N); sleep 1; echo "$SLURMD_NODENAME $CUDA_VISIBLE_DEVICES $began $(date +%s.%N)"'
#: tells its rank, then waits for a signal as training does: it saves, which takes a moment, and exits with 75
TRAINER = """\
#!/bin/sh
trap 'sleep 1; echo "$RANK saved" >> signals; exit 75' USR1 TERM
where="$LOCAL_RANK on $SLURMD_NODENAME, $MASTER_ADDR:$MASTER_PORT, $CUDA_VISIBLE_DEVICES"
echo "$RANK of $WORLD_SIZE, $where" >> ranks
while ! test -e enough; do sleep 0.2; done
"""


def ended(cluster: Cluster, *jobs: str) -> dict[str, str]:
    """Wait for jobs to end; their final states."""
    wait_until(lambda: not set(jobs) & set(cluster.jobs(state="pending,running,completing")), "jobs", 300)
    states = dict(line.split() for line in cluster.jobs("%i %T"))
    return {job: states[job] for job in jobs}


def test_no_gpu_has_two_jobs_at_a_time(cluster: Cluster, sbatch, tmp_path: Path) -> None:
    jobs = [
        sbatch(f"cocon lease --gpus 1 -- sh -c '{WORK}'", "--gpus=1", "--partition=gpu") for _ in range(6)
    ]
    assert set(ended(cluster, *jobs).values()) == {"COMPLETED"}
    spans = defaultdict(list)
    for job in jobs:
        output = (tmp_path / f"{job}.out").read_text()
        node, device, began, end = output.splitlines()[-1].split()
        assert device in {str(number) for number in range(GPUS)}
        spans[node, device].append((float(began), float(end)))
    assert len(spans) == NODES * GPUS, "all devices are used"
    for times in spans.values():
        assert all(end <= began for (_, end), (began, _) in itertools.pairwise(sorted(times)))


def test_a_job_without_a_gpu_sees_none(cluster: Cluster, sbatch, tmp_path: Path) -> None:
    show = "sh -c 'echo \"devices: [$CUDA_VISIBLE_DEVICES]\"'"
    none, wants = sbatch(f"cocon lease --gpus 0 -- {show}"), sbatch(f"cocon lease --gpus 1 -- {show}")
    states = ended(cluster, none, wants)
    assert states == {none: "COMPLETED", wants: "FAILED"}
    assert "devices: []" in (tmp_path / f"{none}.out").read_text()
    assert "1 GPUs are requested, SLURM has assigned 0" in (tmp_path / f"{wants}.out").read_text()


@pytest.fixture
def trainer(tmp_path: Path) -> str:
    (tmp_path / "trainer").write_text(TRAINER)
    (tmp_path / "trainer").chmod(0o755)
    return "cocon launch --nodes 2 --processes 2 --threads 2 --gpus 4 -- ./trainer"


WIDE = ("--nodes=2", "--gpus=4", "--gpus-per-node=2", "--cpus-per-task=2", "--partition=gpu", "--requeue")


def ranks(folder: Path) -> list[str]:
    path = folder / "ranks"
    return sorted(path.read_text().splitlines()) if path.exists() else []


def test_a_signal_saves_requeues_and_resumes(cluster: Cluster, sbatch, trainer: str, tmp_path: Path) -> None:
    job = sbatch(trainer, *WIDE)
    wait_until(lambda: len(ranks(tmp_path)) == 4, "four processes", 120)
    where = rf"127\.0\.0\.1:{20000 + int(job) % 10000}"
    for number, line in enumerate(ranks(tmp_path)):
        assert re.fullmatch(
            rf"{number} of 4, {number % 2} on {cluster.nodes[number // 2]}, {where}, 0,1", line
        )
    cluster.ask("scancel", "--signal=USR1", job)  # as --signal=USR1@300 does before the time limit
    wait_until(
        lambda: cluster.jobs("%i %T", state="pending") == [f"{job} PENDING"], "the job to be requeued", 120
    )
    assert sorted((tmp_path / "signals").read_text().split()[::2]) == ["0", "1", "2", "3"]
    cluster.ask("scontrol", "update", f"JobId={job}", "StartTime=now")  # SLURM would wait for two minutes
    wait_until(lambda: len(ranks(tmp_path)) == 8, "the same job again", 120)
    cluster.ask("scontrol", "requeue", job)  # what pre-emption does
    wait_until(lambda: len((tmp_path / "signals").read_text().splitlines()) == 8, "all to save", 120)
    (tmp_path / "enough").touch()
    wait_until(
        lambda: cluster.jobs("%i %T", state="pending") == [f"{job} PENDING"], "the job to be requeued", 120
    )
    cluster.ask("scontrol", "update", f"JobId={job}", "StartTime=now")
    assert ended(cluster, job) == {job: "COMPLETED"}


def test_a_cancelled_job_saves_and_stays_cancelled(
    cluster: Cluster, sbatch, trainer: str, tmp_path: Path
) -> None:
    job = sbatch(trainer, *WIDE)
    wait_until(lambda: len(ranks(tmp_path)) == 4, "four processes", 120)
    cluster.ask("scancel", job)
    assert ended(cluster, job) == {job: "CANCELLED"}
    assert len((tmp_path / "signals").read_text().splitlines()) == 4
