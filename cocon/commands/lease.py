"""``cocon lease -- COMMAND``: run a command with GPUs that no other job of this machine uses.

Without it, all jobs that start on a machine with several GPUs would use the first one. This command waits
until enough devices are free, sets CUDA_VISIBLE_DEVICES to them, and replaces itself by the command (exec).
The devices are free again when the command ends, in whatever way. If a user or a scheduler has already set
CUDA_VISIBLE_DEVICES, it chooses among those. In a SLURM job without GPUs, no device is visible.
"""

from __future__ import annotations

import argparse

from cocon.errors import ConfigError
from cocon.machine.gpu_lease import run_with_lease

HELP = "run a command with GPUs that no other job uses"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``cocon lease``."""
    parser.add_argument(
        "--gpus", type=int, default=1, metavar="N", help="number of GPUs (default %(default)s)"
    )
    parser.add_argument("command_line", nargs="+", metavar="COMMAND", help="the command to run, after --")


def run(args: argparse.Namespace) -> None:
    """Replace this process by the command."""
    if args.gpus < 0:
        raise ConfigError("--gpus must be at least 0")
    run_with_lease(args.gpus, args.command_line)
