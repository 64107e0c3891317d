"""Calls of SLURM's own commands; only on a machine that has them."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from cocon.errors import CoConError

#: seconds until a controller that does not answer counts as unavailable
_TIMEOUT = 60


def ask(*command: str) -> str:
    """The output of one of SLURM's commands.

    Raises:
        CoConError: with the command's error message.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=True)
    except FileNotFoundError as error:
        raise CoConError(f"there is no '{command[0]}'", "run this on a machine of the cluster") from error
    except subprocess.TimeoutExpired as error:
        raise CoConError(f"SLURM did not answer '{command[0]}'", "check whether sinfo works") from error
    except subprocess.CalledProcessError as error:
        raise CoConError(f"'{' '.join(command)}' failed: {error.stderr.strip()}") from error
    return done.stdout.strip()


def first_address(job: str) -> str:
    """The network address, as SLURM itself uses it, of the node where rank 0 of a job runs."""
    nodes = ask("squeue", "--noheader", "--jobs", job, "--format", "%N")
    first = ask("scontrol", "show", "hostnames", nodes).split()[0]
    fields = ask("scontrol", "show", "--oneliner", "node", first).split()
    return next(field.removeprefix("NodeAddr=") for field in fields if field.startswith("NodeAddr="))


def requeue(job: str) -> None:
    """Put this running job back into the queue; it starts again under the same number.

    A job that is being cancelled stays so.

    Raises:
        CoConError: SLURM refuses (JobRequeue, sbatch --no-requeue).
    """
    if ask("squeue", "--noheader", "--jobs", job, "--format", "%T") == "RUNNING":
        ask("scontrol", "requeue", job)


def cancel_orphans(folder: Path) -> list[str]:
    """Cancel the SLURM jobs that a killed run has left behind for its working folder, and wait for their end.

    They are identified by their working folder and by the comment that Snakemake's executor gives to a job,
    ``rule_<name>...``. Two runs that write the same files would be worse than the minutes that are lost:
    extraction resumes at the video, training at the checkpoint that it writes when it is cancelled.

    Returns:
        the numbers of the jobs.

    Raises:
        CoConError: they do not end.
    """
    home = folder.resolve()

    def left() -> list[str]:
        rows = ask("squeue", "--me", "--noheader", "--format", "%i|%k|%Z").splitlines()
        jobs = (row.split("|", 2) for row in rows)
        return [
            number for number, comment, where in jobs if comment.startswith("rule_") and Path(where) == home
        ]

    orphans = left()
    if orphans:
        ask("scancel", *orphans)
    deadline = time.monotonic() + 300
    while orphans and left():
        if time.monotonic() > deadline:
            raise CoConError(f"jobs of an earlier run do not end: {' '.join(orphans)}", "see squeue --me")
        time.sleep(1)
    return orphans
