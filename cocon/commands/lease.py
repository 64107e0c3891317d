"""``cocon lease -- COMMAND``: run a command with a GPU that no other job of this machine has.

Jobs that start at the same time on a machine with several GPUs would all use the first. This command waits
until as many devices as wanted are free, names them in CUDA_VISIBLE_DEVICES, and becomes the command. The
devices are free again when that ends, in whatever way. If CUDA_VISIBLE_DEVICES is set already, by a person or
by a cluster's scheduler, the choice is among those. In a SLURM job that was given none, none can be seen.
"""

from __future__ import annotations

import argparse

from cocon.errors import ConfigError
from cocon.gpu_lease import run_with_lease

HELP = "run a command with GPUs of its own"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``cocon lease``."""
    parser.add_argument("--gpus", type=int, default=1, metavar="N", help="how many (default %(default)s)")
    parser.add_argument("command_line", nargs="+", metavar="COMMAND", help="after --: what to run")


def run(args: argparse.Namespace) -> None:
    """Become the command."""
    if args.gpus < 0:
        raise ConfigError("--gpus must be at least 0")
    run_with_lease(args.gpus, args.command_line)
