"""GPUs of one machine, shared by jobs that start at the same time: each takes a device for itself.

A device is a file that its holder locks. The lock belongs to the process that runs the job and ends with it,
in whatever way it ends, so that there is nothing to clean up after a crash.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shlex
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from cocon.errors import CoConError
from cocon.locks import Lock, hold

log = logging.getLogger(__name__)

#: seconds between two attempts while all devices are taken
_PATIENCE = 0.5
_DEVICE_FILES = Path("/dev")


@dataclass(frozen=True)
class Lease:
    """Devices that no other job uses: their names and locks."""

    devices: tuple[str, ...]
    locks: tuple[Lock, ...]

    def release(self) -> None:
        """Give the devices back."""
        for lock in self.locks:
            lock.release()


def visible_devices(environment: Mapping[str, str] = os.environ) -> list[str]:
    """The devices that this process may use: those of ``CUDA_VISIBLE_DEVICES``, else all of the machine.

    In a SLURM job it is the scheduler that sets the variable; if it is not set there, no device belongs to
    the job. CUDA is not loaded for this.
    """
    named = environment.get("CUDA_VISIBLE_DEVICES")
    if named is None and "SLURM_JOB_ID" in environment:
        return []
    if named is None:
        # CUDA counts from 0; in a container the files may have the numbers of the whole machine.
        found = [path for path in _DEVICE_FILES.glob("nvidia*") if re.fullmatch(r"nvidia\d+", path.name)]
        return [str(number) for number in range(len(found))]
    names = [name.strip() for name in named.split(",")]
    # CUDA ignores everything from the first invalid name on; -1 is the usual way to write none.
    return names[: names.index("-1")] if "-1" in names else [name for name in names if name]


def lease_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where the lock files lie: shared by all users of a machine, but separate for every SLURM job.

    SLURM may number the devices of every job from 0, so that equal names mean different devices.
    """
    job = environment.get("SLURM_JOB_ID", "")
    return Path(tempfile.gettempdir()) / f"cocon-gpus{'-' if job else ''}{job}"


def acquire(count: int, devices: Sequence[str], folder: Path) -> Lease:
    """Wait until ``count`` of the devices are free, and take them, all at once.

    Args:
        count: how many; 0 takes none.
        devices: names of the devices to choose from.
        folder: of the lock files; it is made, for all users, if need be.

    Raises:
        CoConError: there are fewer devices than requested, or no folder of this machine has locks.
    """
    if count > len(devices):
        raise CoConError(
            f"{count} GPUs are requested, {len(devices)} are visible",
            "lower gpus under jobs in config.yaml, set `device: cpu`, or check CUDA_VISIBLE_DEVICES",
        )
    log.debug("taking %d of the GPUs %s, by locks in %s", count, ", ".join(devices), folder)
    folder.mkdir(exist_ok=True)
    with contextlib.suppress(PermissionError):  # another user made it, and did this
        folder.chmod(0o1777)
    waited = False
    while True:
        # Only one process searches at a time: otherwise two jobs of two devices each could take one each.
        choosing = _lock(folder / "choosing", wait=True)
        assert choosing is not None
        try:
            free: list[tuple[str, Lock]] = []
            for device in devices:
                if len(free) < count and (lock := _lock(folder / re.sub(r"\W", "_", device), wait=False)):
                    free.append((device, lock))
            if len(free) == count:
                return Lease(tuple(name for name, _ in free), tuple(lock for _, lock in free))
            for _, lock in free:
                lock.release()
        finally:
            choosing.release()
        if not waited:
            log.info("waiting for %d of %d GPUs", count, len(devices))
            waited = True
        time.sleep(_PATIENCE)


def _lock(path: Path, *, wait: bool) -> Lock | None:
    lock = hold(path, wait=wait)
    if lock is not None and not lock.works:
        raise CoConError(
            f"no folder of this machine supports locks, neither {path.parent} nor /tmp: jobs would share "
            f"a GPU",
            "set TMPDIR to a folder on a local disk",
        )
    return lock


def run_with_lease(count: int, command: Sequence[str]) -> None:
    """Replace this process by ``command``, with ``count`` leased GPUs in CUDA_VISIBLE_DEVICES; never returns.

    On a machine without a GPU the command runs unchanged.

    Raises:
        CoConError: there is no such command, or there are too few GPUs.
    """
    take(count)
    become(command)


def take(count: int) -> None:
    """Lease ``count`` GPUs for as long as this process or one that it starts has the locks open.

    They are this process's ``CUDA_VISIBLE_DEVICES``. On a machine without a GPU nothing happens.

    Raises:
        CoConError: there are too few GPUs.
    """
    devices = respect_scheduler(count)
    if count and devices:
        lease = acquire(count, devices, lease_folder())
        for lock in lease.locks:
            os.set_inheritable(lock.descriptor, True)
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(lease.devices)
        # Names mean the same to CUDA as to the driver only in this order.
        os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
        log.info("GPU %s", ", ".join(lease.devices))


def respect_scheduler(count: int) -> list[str]:
    """The devices that this process may use; in a SLURM job without any, those of others become invisible.

    Raises:
        CoConError: a SLURM job has fewer than ``count``.
    """
    devices = visible_devices()
    if "SLURM_JOB_ID" in os.environ and len(devices) < count:
        raise CoConError(
            f"{count} GPUs are requested, SLURM has assigned {len(devices)} to this job",
            "request them with sbatch --gpus-per-node; or set device: cpu in config.yaml",
        )
    if "SLURM_JOB_ID" in os.environ and not devices:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    return devices


def become(command: Sequence[str]) -> NoReturn:
    """Replace this process by a command.

    Raises:
        CoConError: there is no such command.
    """
    log.debug("running %s", shlex.join(command))
    try:
        os.execvp(command[0], list(command))
    except OSError as error:
        raise CoConError(f"'{command[0]}' cannot be run: {error.strerror}") from error
