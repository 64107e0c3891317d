"""``cocon launch -- COMMAND``: run a distributed training, as one or more processes.

On one machine each process gets a GPU that no other job uses (see ``cocon lease``). In a SLURM job the
processes form a job step on all nodes of the job; if a signal stopped the run and its state is saved, the job
is requeued.
"""

from __future__ import annotations

import argparse
import signal

from cocon.errors import ConfigError
from cocon.machine.launch import Layout, launch

HELP = "run a training command as several processes, each with its own GPU, on one or more nodes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``cocon launch``."""
    add = parser.add_argument
    add("--nodes", type=int, default=1, metavar="N", help="number of nodes (default %(default)s)")
    add("--processes", type=int, default=1, metavar="N", help="processes per node (default %(default)s)")
    add("--threads", type=int, default=1, metavar="N", help="threads per node, shared by its processes")
    add("--gpus", type=int, default=0, metavar="N", help="GPUs in total: 0, or one per process")
    add("command_line", nargs="+", metavar="COMMAND", help="the command to run, after --")


def run(args: argparse.Namespace) -> None:
    """Run the command, and exit with its status."""
    for name in ("nodes", "processes", "threads"):
        if getattr(args, name) < 1:
            raise ConfigError(f"--{name} must be at least 1")
    count = args.nodes * args.processes
    if args.gpus not in (0, count):
        raise ConfigError(
            f"{count} processes need {count} GPUs, but --gpus is {args.gpus}",
            "raise `resources: gpu` in the profile, or lower jobs.<stage>.gpus in config.yaml",
        )
    # srun has its signals from SLURM, and time to pass them on; an exception here would kill it at once.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    layout = Layout(args.nodes, args.processes, args.threads, gpu=args.gpus > 0)
    raise SystemExit(launch(layout, args.command_line))
