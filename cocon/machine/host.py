"""What the workflow needs from the machine that reads it: GPUs, commands and a lock."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from cocon.errors import ConfigError
from cocon.locks import Lock, hold
from cocon.machine.gpu_lease import visible_devices

_held: list[Lock] = []


def gpu_count(environment: Mapping[str, str] = os.environ) -> int:
    """GPUs that jobs started here may use; of all nodes, within an allocation of SLURM."""
    return len(visible_devices(environment)) * int(environment.get("SLURM_JOB_NUM_NODES", "1"))


def put_commands_on_path() -> None:
    """Put the commands next to this Python on the jobs' path, also when its environment is not activated."""
    folder = str(Path(sys.executable).parent)
    os.environ["PATH"] = os.pathsep.join([folder, os.environ.get("PATH", os.defpath)])


def keep_to_ourselves(folder: Path) -> None:
    """Keep other runs out of a working folder until this process ends, in whatever way it ends.

    Snakemake's own lock outlives a killed process and then requires ``--unlock``; this one ends with its
    process. If the folder's file system has no locks, a warning states which runs are kept out.

    Raises:
        ConfigError: when another process works in the folder.
    """
    path = folder / ".snakemake" / "cocon.lock"
    path.parent.mkdir(exist_ok=True)
    lock = hold(path, wait=False)
    if lock is None:
        raise ConfigError(f"another run works in {folder.resolve()}", "wait until it is done, or stop it")
    _held.append(lock)  # closed, and thereby released, by the end of the process
