"""``cocon launch -- COMMAND``: run a training command as one or more processes that train together.

On one machine each process has a GPU that no other job has (see ``cocon lease``). In a SLURM job they are
those of a job step, on as many nodes as the job has; a run that a signal has stopped, with its state saved,
puts the job back into the queue.
"""

from __future__ import annotations

import argparse
import signal

from cocon.errors import ConfigError
from cocon.launch import Layout, launch

HELP = "run a training command as several processes, on GPUs of their own or on several nodes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``cocon launch``."""
    add = parser.add_argument
    add("--nodes", type=int, default=1, metavar="N", help="machines (default %(default)s)")
    add("--processes", type=int, default=1, metavar="N", help="on each of them (default %(default)s)")
    add("--threads", type=int, default=1, metavar="N", help="of a machine, shared by its processes")
    add("--gpus", type=int, default=0, metavar="N", help="in all: 0, or one for each process")
    add("command_line", nargs="+", metavar="COMMAND", help="after --: what to run")


def run(args: argparse.Namespace) -> None:
    """Run the command, and end with its status."""
    for name in ("nodes", "processes", "threads"):
        if getattr(args, name) < 1:
            raise ConfigError(f"--{name} must be at least 1")
    count = args.nodes * args.processes
    if args.gpus not in (0, count):
        raise ConfigError(
            f"{count} processes need {count} GPUs, and the job may have {args.gpus}",
            "raise `resources: gpu` in the profile, or lower jobs.<stage>.gpus in config.yaml",
        )
    # srun has its signals from SLURM, and time to pass them on; an exception here would kill it at once.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    layout = Layout(args.nodes, args.processes, args.threads, gpu=args.gpus > 0)
    raise SystemExit(launch(layout, args.command_line))
