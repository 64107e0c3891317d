"""Snakemake's command line in a process forked from one that has imported it: it saves seconds."""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    ["snakemake.cli", "snakemake.report.html_reporter", "cocon.config.load", "cocon.workflow.ablations"]
)


def snakemake(arguments: Sequence[str], folder: Path, timeout: float) -> tuple[int, str]:
    """Run it in ``folder`` with this process's environment.

    Returns:
        Its exit status, and what it wrote to standard output and then to standard error.

    Raises:
        TimeoutError: it did not end within ``timeout`` seconds.
    """
    with tempfile.TemporaryDirectory() as name:
        outputs = [Path(name, stream) for stream in ("stdout", "stderr")]
        process = _FORKS.Process(target=_main, args=(list(arguments), folder, dict(os.environ), outputs))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(f"no end within {timeout} s: {arguments}")
        return process.exitcode, "".join(path.read_text(errors="replace") for path in outputs)


def _main(arguments: list[str], folder: Path, environment: dict[str, str], outputs: list[Path]) -> None:
    for number, path in enumerate(outputs, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["snakemake", *arguments]
    from snakemake.cli import main

    main(arguments)
