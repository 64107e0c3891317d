from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cocon.errors import CoConError
from cocon.machine.launch import Layout, rank_of, step

# One write per process, for torchrun's children are unbuffered: print would let their words mix.
SHOW = (
    "import os; names = 'RANK', 'WORLD_SIZE', 'OMP_NUM_THREADS'; "
    "os.write(1, (' '.join(str(os.environ.get(n)) for n in names) + '\\n').encode())"
)


def cocon(command: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    inherited = {
        k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "CUDA_", "RANK", "WORLD"))
    }
    line = [sys.executable, "-m", "cocon", command, *arguments]
    return subprocess.run(line, env=inherited | variables, capture_output=True, text=True, timeout=300)


def test_one_process_is_the_command_itself() -> None:
    done = cocon("launch", "--threads", "3", "--", sys.executable, "-c", f"{SHOW}; raise SystemExit(75)")
    assert done.returncode == 75
    assert done.stdout == "None None 3\n"


def test_processes_of_one_machine_share_its_threads() -> None:
    command = [sys.executable, "-c", SHOW]
    done = cocon("launch", "--processes", "2", "--threads", "4", "--", *command)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["0 2 2", "1 2 2"]


def test_several_nodes_need_a_cluster() -> None:
    done = cocon("launch", "--nodes", "2", "--", "true")
    assert done.returncode == 2
    assert "2 nodes are requested, but this is not a SLURM job" in done.stderr
    assert "--workflow-profile profiles/slurm" in done.stderr


def test_fewer_gpus_than_processes() -> None:
    done = cocon("launch", "--processes", "4", "--gpus", "1", "--", "true")
    assert done.returncode == 2
    assert "4 processes need 4 GPUs, but --gpus is 1" in done.stderr


def test_a_process_each_has_a_gpu(tmp_path: Path) -> None:
    variables = {"CUDA_VISIBLE_DEVICES": "0,1,2", "TMPDIR": str(tmp_path)}
    command = ["--processes", "2", "--gpus", "2", "--", "sh", "-c", "echo $CUDA_VISIBLE_DEVICES"]
    assert cocon("launch", *command, **variables).stdout.split() == ["0,1"] * 2


def test_a_job_step_has_a_process_per_gpu_and_meets_nowhere_if_alone() -> None:
    line = step(Layout(threads=4, gpu=True), "7", ["true"])
    assert {"--ntasks=1", "--cpus-per-task=4", "--nodes=1"} <= set(line)
    assert line[-4:] == ["--gpus", "1", "--", "true"]


def test_ranks() -> None:
    slurm = {"SLURM_PROCID": "3", "SLURM_LOCALID": "1", "SLURM_STEP_NUM_TASKS": "4"}
    assert rank_of(slurm) == {"RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4"}
    with pytest.raises(CoConError, match="SLURM_PROCID is not set"):
        rank_of({})


def test_a_slurm_job_without_gpus_sees_none() -> None:
    show = ["sh", "-c", 'echo "[$CUDA_VISIBLE_DEVICES]"']
    assert cocon("lease", "--gpus", "0", "--", *show, SLURM_JOB_ID="7").stdout == "[]\n"
    refused = cocon("lease", "--gpus", "1", "--", *show, SLURM_JOB_ID="7")
    assert refused.returncode == 2
    assert "SLURM has assigned 0 to this job" in refused.stderr
