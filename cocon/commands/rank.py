"""``cocon rank -- COMMAND``: one process of a SLURM step; ``cocon launch`` starts it on every node.

It sets the environment variables that torchrun would set (rank and number of processes), and replaces itself
by the command.
"""

from __future__ import annotations

import argparse

from cocon.machine.launch import run_as_rank

HELP = "run a command as one process of a SLURM step (started by launch)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``cocon rank``."""
    add = parser.add_argument
    add("--gpus", type=int, default=0, metavar="N", help="GPUs that the job must have on this node")
    add("command_line", nargs="+", metavar="COMMAND", help="the command to run, after --")


def run(args: argparse.Namespace) -> None:
    """Replace this process by the command."""
    run_as_rank(args.gpus, args.command_line)
