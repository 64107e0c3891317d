"""One command as several processes that train together, on one machine or on several nodes of SLURM.

On one machine this process starts and supervises them. In a SLURM job srun does, on all nodes. In both cases
every process receives the signals itself, a run has all the remaining time to save its state, and its exit
code 75 is passed on.
"""

from __future__ import annotations

import logging
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cocon import messages
from cocon.errors import CoConError, ConfigError
from cocon.machine import slurm
from cocon.machine.gpu_lease import become, respect_scheduler, take
from cocon.machine.process_group import PATIENCE, run_together

log = logging.getLogger(__name__)

#: of sysexits.h: exit code of a training after a signal, with its state saved
_TRY_AGAIN = 75
_FIRST_PORT, _PORTS = 20000, 10000


@dataclass(frozen=True)
class Layout:
    """How many processes run where.

    Attributes:
        nodes: machines.
        processes: on each of them.
        threads: of a node, for all its processes.
        gpu: whether each process has a GPU.
    """

    nodes: int = 1
    processes: int = 1
    threads: int = 1
    gpu: bool = False

    @property
    def threads_each(self) -> int:
        """Threads of one process."""
        return max(1, self.threads // self.processes)

    @property
    def gpus_per_node(self) -> int:
        """GPUs that a node has to provide."""
        return self.processes if self.gpu else 0


def launch(layout: Layout, command: Sequence[str]) -> int:
    """Run the command as a group of processes.

    In a SLURM job that was not cancelled, a run that stopped with its state saved puts its job back into the
    queue, to resume there.

    Returns:
        the exit status; outside of SLURM a single process is this one, which does not return.

    Raises:
        CoConError: more than one node outside of a SLURM job, or too few GPUs.
    """
    os.environ["OMP_NUM_THREADS"] = str(layout.threads_each)
    os.environ["LOCAL_WORLD_SIZE"] = str(layout.processes)
    job = os.environ.get("SLURM_JOB_ID")
    if job is not None:
        job_step = step(layout, job, command)
        log.debug("running %s", shlex.join(job_step))
        status = subprocess.call(job_step)
        if status == _TRY_AGAIN:
            try:
                slurm.requeue(job)
            except CoConError as error:
                log.warning("the job is not requeued: %s", error)
        return status
    if layout.nodes > 1:
        raise ConfigError(
            f"{layout.nodes} nodes are requested, but this is not a SLURM job",
            "run Snakemake with --workflow-profile profiles/slurm, or set nodes: 1 under jobs in config.yaml",
        )
    take(layout.gpus_per_node)
    if layout.processes == 1:
        become(command)
    return run_together(layout.processes, command)


def step(layout: Layout, job: str, command: Sequence[str]) -> list[str]:
    """The command as a job step, once per process; ``cocon rank`` sets the rank of each.

    With several processes, sets the address where they connect in this process's environment.
    """
    count = layout.nodes * layout.processes
    if count > 1:
        os.environ["MASTER_ADDR"] = slurm.first_address(job)
        os.environ["MASTER_PORT"] = str(_FIRST_PORT + int(job) % _PORTS)
    options = {
        "nodes": layout.nodes,
        "ntasks": count,
        "ntasks-per-node": layout.processes,
        "cpus-per-task": layout.threads_each,
        # After one has failed, the others would wait for it in vain; after a signal to all, they need a
        # moment.
        "kill-on-bad-exit": 0,
        "wait": round(PATIENCE),
    }
    srun = ["srun", "--overlap", *(f"--{name}={value}" for name, value in options.items())]
    rank = [sys.executable, "-m", "cocon", "rank", *messages.as_options()]
    return [*srun, *rank, "--gpus", str(layout.gpus_per_node), "--", *command]


def rank_of(environment: Mapping[str, str]) -> dict[str, str]:
    """torch.distributed's names for this process among those of its SLURM step.

    Raises:
        CoConError: this is no SLURM step.
    """
    names = {"RANK": "SLURM_PROCID", "LOCAL_RANK": "SLURM_LOCALID", "WORLD_SIZE": "SLURM_STEP_NUM_TASKS"}
    missing = [name for name in names.values() if name not in environment]
    if missing:
        raise CoConError(f"{missing[0]} is not set", "'cocon launch' starts this command, with srun")
    return {ours: environment[theirs] for ours, theirs in names.items()}


def run_as_rank(gpus: int, command: Sequence[str]) -> None:
    """Replace this process by ``command``, as one of the processes of a SLURM step; does not return.

    Raises:
        CoConError: SLURM has assigned fewer than ``gpus`` on this node, or this is no SLURM step.
    """
    os.environ.update(rank_of(os.environ))
    respect_scheduler(gpus)
    become(command)
