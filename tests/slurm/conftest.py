from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.slurm.cluster import Cluster, why_not
from tests.training.conftest import dataset

__all__ = ["dataset"]  # a fixture

#: the shipped profile, with a patience that suits tests
QUICK = ["--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "10"]
QUICK += ["--slurm-keep-successful-logs"]


class Sent(NamedTuple):
    """A SLURM job: the executor's comment, rule and wildcards; number, state and memory by squeue."""

    comment: str
    number: str
    state: str
    memory: str


class Run:
    """Runs Snakemake in a folder of its own, on the cluster or on this machine."""

    def __init__(self, repository: Path, folder: Path, cluster: Cluster) -> None:
        self.repository = repository
        self.folder = folder
        self.cluster = cluster
        self.processes: list[subprocess.Popen[str]] = []

    def configure(self, document: Mapping[str, Any]) -> None:
        self.folder.mkdir(exist_ok=True)
        (self.folder / "config.yaml").write_text(yaml.safe_dump(dict(document)))

    def start(self, *arguments: str, profile: str = "--profile") -> subprocess.Popen[str]:
        """A run on the cluster; its output goes to ``snakemake.log``."""
        slurm = [profile, str(self.repository / "profiles" / "slurm"), *QUICK]
        return self._start(*slurm, *arguments)

    def start_here(self, *arguments: str) -> subprocess.Popen[str]:
        """A run on this machine."""
        return self._start("--cores", "2", *arguments)

    def finish(self, process: subprocess.Popen[str]) -> str:
        """Wait for a run that must succeed; its output."""
        status = process.wait(1200)
        output = (self.folder / "snakemake.log").read_text()
        assert status == 0, output[-8000:]
        return output

    def sent(self, rule: str, state: str = "") -> list[Sent]:
        """All SLURM jobs, or those in a state, that this folder has had for a rule, in their order."""
        rows = (line.split() for line in self.cluster.jobs("%Z %k %i %T %m"))
        found = [Sent(*row[1:]) for row in rows if row[0] == str(self.folder) and f"rule_{rule}" in row[1]]
        found.sort(key=lambda job: int(job.number))
        return [job for job in found if state in ("", job.state)]

    def _start(self, *arguments: str) -> subprocess.Popen[str]:
        where = ["--snakefile", str(self.repository / "Snakefile"), "--directory", str(self.folder)]
        command = [sys.executable, "-m", "snakemake", *where, "--nocolor", *arguments]
        # The nodes have no names that could be resolved; all of them are here.
        environment = {**self.cluster.environment, "GLOO_SOCKET_IFNAME": "lo"}
        with (self.folder / "snakemake.log").open("w") as log:
            process = subprocess.Popen(
                command, cwd=self.folder, env=environment, text=True, stdout=log, stderr=subprocess.STDOUT
            )
        self.processes.append(process)
        return process


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if reason := why_not():
        pytest.skip(reason)
    started = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        started.start()
        yield started
    finally:
        started.stop()


@pytest.fixture(scope="session")
def new_run(repository: Path, cluster: Cluster) -> Iterator[Callable[[Path], Run]]:
    """Makes a run in the given folder; what still runs in the end, after a test that failed, is killed."""
    runs: list[Run] = []

    def make(folder: Path) -> Run:
        runs.append(Run(repository, folder, cluster))
        return runs[-1]

    yield make
    for process in (process for run in runs for process in run.processes):
        process.kill()
        process.wait()


@pytest.fixture
def sbatch(cluster: Cluster, tmp_path: Path) -> Any:
    """Submits a command with sbatch's options; returns the job's number. Its output is ``<number>.out``."""

    def submit(command: str, *options: str) -> str:
        path = f"{Path(sys.executable).parent}{os.pathsep}$PATH"
        script = f'#!/bin/sh\nexport PATH="{path}"\n{command}\n'
        (tmp_path / "script").write_text(script)
        output = ["--output", str(tmp_path / "%j.out"), "--open-mode=append", "--chdir", str(tmp_path)]
        limits = ["--mem=300", "--time=10"]
        answer = cluster.ask("sbatch", "--parsable", *limits, *output, *options, str(tmp_path / "script"))
        assert re.fullmatch(r"\d+", answer)
        return answer

    return submit
