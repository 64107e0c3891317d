from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cocon.errors import CoConError
from cocon.machine import gpu_lease
from cocon.machine.gpu_lease import acquire, lease_folder, visible_devices
from cocon.machine.host import gpu_count

#: notes its devices and when it had them, then works for a while
JOB = """
import os, sys, time
devices = os.environ["CUDA_VISIBLE_DEVICES"]
began = time.monotonic()
time.sleep(float(sys.argv[2]))
with open(sys.argv[1], "a") as notes:
    notes.write(f"{devices} {began} {time.monotonic()}\\n")
"""


def lease(
    folder: Path, *command: str, gpus: int = 1, devices: str = "0,1,2", **more: str
) -> subprocess.Popen:
    environment = {**os.environ, "TMPDIR": str(folder), "CUDA_VISIBLE_DEVICES": devices, **more}
    line = [sys.executable, "-m", "cocon", "lease", "--gpus", str(gpus), "--", *command]
    return subprocess.Popen(line, env=environment, stderr=subprocess.PIPE, text=True)


def work(folder: Path, seconds: float, **options: object) -> subprocess.Popen:
    return lease(folder, sys.executable, "-c", JOB, str(folder / "notes"), str(seconds), **options)


def test_no_device_is_used_twice_at_a_time_and_none_is_idle(tmp_path):
    jobs = [work(tmp_path, 0.5) for _ in range(7)]
    assert [job.wait(60) for job in jobs] == [0] * 7
    rows = [line.split() for line in (tmp_path / "notes").read_text().splitlines()]
    used: dict[str, list[tuple[float, float]]] = {}
    for device, began, ended in rows:
        used.setdefault(device, []).append((float(began), float(ended)))
    assert set(used) == {"0", "1", "2"}
    assert sum(map(len, used.values())) == 7
    for spans in used.values():
        spans.sort()
        assert all(ended <= began for (_, ended), (began, _) in itertools.pairwise(spans))


def test_a_killed_job_leaves_its_device_free(tmp_path):
    first = work(tmp_path, 60, devices="GPU-a")
    assert first.stderr.readline() == "GPU GPU-a\n"
    second = work(tmp_path, 0, devices="GPU-a")
    assert second.stderr.readline() == "waiting for 1 of 1 GPUs\n"
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert second.wait(30) == 0
    assert (tmp_path / "notes").read_text().startswith("GPU-a ")


def test_jobs_of_two_devices_do_not_block_each_other(tmp_path):
    jobs = [work(tmp_path, 0.1, gpus=2) for _ in range(4)]
    assert [job.wait(60) for job in jobs] == [0] * 4
    rows = (tmp_path / "notes").read_text().splitlines()
    assert all(len(set(row.split()[0].split(","))) == 2 for row in rows)


def test_the_command_gets_its_signals_and_its_status_is_the_jobs(tmp_path):
    assert lease(tmp_path, "sh", "-c", "exit 7").wait(30) == 7
    job = lease(tmp_path, "sleep", "60")
    assert job.stderr.readline().startswith("GPU")
    time.sleep(0.2)
    job.terminate()
    assert job.wait(10) == -signal.SIGTERM


def test_without_a_gpu_or_for_none_the_command_runs_as_it_is(tmp_path):
    told = ["sh", "-c", 'test "$CUDA_VISIBLE_DEVICES" = "$0"']
    assert lease(tmp_path, *told, "", devices="").wait(30) == 0
    assert lease(tmp_path, *told, "0,1", gpus=0, devices="0,1").wait(30) == 0


def test_more_devices_than_there_are_is_an_error_and_not_a_wait(tmp_path):
    job = lease(tmp_path, "true", gpus=4)
    assert job.wait(30) == 2
    assert "4 GPUs are requested, 3 are visible" in job.stderr.read()
    with pytest.raises(CoConError):
        acquire(2, ["0"], tmp_path)


def test_an_unknown_command_is_named(tmp_path):
    job = lease(tmp_path, "no-such-command")
    assert job.wait(30) == 2
    assert "'no-such-command' cannot be run" in job.stderr.read()


def test_devices_are_those_that_cuda_may_see():
    assert visible_devices({"CUDA_VISIBLE_DEVICES": "2, 0"}) == ["2", "0"]
    assert visible_devices({"CUDA_VISIBLE_DEVICES": "MIG-1,-1,3"}) == ["MIG-1"]
    assert visible_devices({"CUDA_VISIBLE_DEVICES": ""}) == []


def test_devices_of_a_container_are_counted_from_zero(monkeypatch, tmp_path):
    for name in ("nvidia3", "nvidia5", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / name).touch()
    monkeypatch.setattr(gpu_lease, "_DEVICE_FILES", tmp_path)
    assert visible_devices({}) == ["0", "1"]
    assert visible_devices({"SLURM_JOB_ID": "7"}) == [], "they are others'"


def test_an_allocation_has_the_gpus_of_all_its_nodes():
    assert gpu_count({"CUDA_VISIBLE_DEVICES": "0,1"}) == 2
    allocation = {"SLURM_JOB_ID": "7", "SLURM_JOB_NUM_NODES": "3"}
    assert gpu_count({"CUDA_VISIBLE_DEVICES": "0,1", **allocation}) == 6
    assert gpu_count(allocation) == 0


def test_jobs_of_a_cluster_do_not_share_names(tmp_path):
    first = lease(tmp_path, "sleep", "60", devices="0", SLURM_JOB_ID="7")
    assert first.stderr.readline() == "GPU 0\n"
    assert lease(tmp_path, "true", devices="0", SLURM_JOB_ID="8").wait(30) == 0
    first.kill()
    assert lease_folder({"SLURM_JOB_ID": "7"}) != lease_folder({"SLURM_JOB_ID": "8"}) != lease_folder({})


def test_devices_are_shared_by_all_users_whatever_the_umask(tmp_path):
    before = os.umask(0o077)
    try:
        acquire(1, ["0"], tmp_path / "gpus").release()
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o7777 for path in (tmp_path / "gpus").iterdir()}
    assert modes == {"choosing": 0o644, "0": 0o644}
    assert (tmp_path / "gpus").stat().st_mode & 0o7777 == 0o1777
