"""``cocon rank -- COMMAND``: one process of a SLURM step; ``cocon launch`` starts it on every node.

It tells the command which of the processes it is, in the variables that torchrun would set, and becomes it.
"""

from __future__ import annotations

import argparse

from cocon.launch import run_as_rank

HELP = "run a command as one process of a SLURM step (started by launch)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``cocon rank``."""
    add = parser.add_argument
    add("--gpus", type=int, default=0, metavar="N", help="that the job must have on this node")
    add("command_line", nargs="+", metavar="COMMAND", help="after --: what to run")


def run(args: argparse.Namespace) -> None:
    """Become the command."""
    run_as_rank(args.gpus, args.command_line)
