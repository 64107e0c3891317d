"""Snakemake's own plans, by the dozen: one process that starts once, instead of two seconds for each."""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from tests.workflow.conftest import jobs_in

REPOSITORY = Path(__file__).parent.parent.parent


def _snakemake(folder: str, arguments: tuple[str, ...]) -> str:
    """Output of a run of the command line in this process."""
    from snakemake.cli import args_to_api, parse_args

    os.chdir(folder)
    command = [
        "--snakefile",
        str(REPOSITORY / "Snakefile"),
        "--directory",
        folder,
        "--cores",
        "2",
        "--nocolor",
    ]
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        parser, options = parse_args([*command, *arguments])
        succeeded = args_to_api(options, parser)
    assert succeeded, output.getvalue()[-4000:]
    return output.getvalue()


class Planner:
    """Plans in the folder of one project.

    Args:
        folder: of the project.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))

    def close(self) -> None:
        """End the process."""
        self._process.shutdown()

    def configure(self, document: Mapping[str, Any]) -> None:
        """Write config.yaml."""
        (self.folder / "config.yaml").write_text(yaml.safe_dump(dict(document)))

    def snakemake(self, *arguments: str) -> str:
        """Output of Snakemake."""
        return self._process.submit(_snakemake, str(self.folder), arguments).result()

    def plan(self, *arguments: str) -> dict[str, int]:
        """Number of jobs by rule that a dry run announces."""
        output = self.snakemake("--dry-run", *arguments)
        return {} if "Nothing to be done" in output else jobs_in(output)

    def finish(self, *targets: str) -> None:
        """Make the project look finished to Snakemake: every file is there, with the records of its job.

        Once per planner: its process holds the lock of the folder from then on.
        """
        summary = self.snakemake("--summary", *targets)
        rows = [line.split("\t") for line in summary.splitlines() if "\t" in line]
        for name, *_ in rows[1:]:
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix:
                path.touch()
            else:
                path.mkdir(exist_ok=True)
        self.snakemake("--touch", "--forceall", *targets)
