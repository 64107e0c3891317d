from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.workflow import forked

REPOSITORY = Path(__file__).parent.parent.parent
#: options of runs that execute no job
NO_JOBS = {"--dry-run", "--summary", "--touch"}


class Workflow:
    """Runs Snakemake on a configuration in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def configure(self, document: Mapping[str, Any]) -> None:
        (self.folder / "config.yaml").write_text(yaml.safe_dump(dict(document)))

    def command(self, *arguments: str) -> list[str]:
        snakefile = str(REPOSITORY / "Snakefile")
        base = [sys.executable, "-m", "snakemake", "--snakefile", snakefile, "--directory", str(self.folder)]
        return [*base, "--cores", "2", "--nocolor", *arguments]

    def _ended(self, *arguments: str) -> tuple[int, str]:
        """Exit status and output of the command."""
        command = self.command(*arguments)
        if NO_JOBS & set(arguments):
            return forked.snakemake(command[3:], self.folder, timeout=300)
        result = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=900)
        return result.returncode, result.stdout + result.stderr

    def run(self, *arguments: str) -> str:
        """Standard output and error of a run that must succeed."""
        return self.fail(*arguments, status=0)

    def fail(self, *arguments: str, status: int = 1) -> str:
        """Standard output and error of a run that must end with ``status``."""
        ended, output = self._ended(*arguments)
        assert ended == status, output[-6000:]
        return output

    def plan(self, *arguments: str) -> dict[str, int]:
        """Number of jobs by rule in a dry run."""
        output = self.run("--dry-run", *arguments)
        return {} if "Nothing to be done" in output else jobs_in(output)

    def finish(self, *targets: str) -> None:
        """Make the project look finished to Snakemake: every file is there, with the records of its job."""
        rows = [line.split("\t") for line in self.run("--summary", *targets).splitlines() if "\t" in line]
        for name, *_ in rows[1:]:
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix:
                path.touch()
            else:
                path.mkdir(exist_ok=True)
        self.run("--touch", "--forceall", *targets)


def jobs_in(output: str) -> dict[str, int]:
    """The table 'Job stats' of Snakemake's output."""
    table = output[output.rindex("Job stats:") :]
    found = {name: int(count) for name, count in re.findall(r"^([\w.-]+) +(\d+)$", table, re.M)}
    found.pop("total")
    return found


@pytest.fixture(scope="session")
def new_workflow() -> Callable[[Path], Workflow]:
    """Makes a workflow that runs in the given folder."""
    return Workflow


@pytest.fixture
def workflow(new_workflow: Callable[[Path], Workflow], tmp_path: Path) -> Workflow:
    return new_workflow(tmp_path)
