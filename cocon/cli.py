"""``cocon <command>``: every rule of the workflow as a command that a person can type."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from cocon.boundary import EXIT_STATUS, run
from cocon.messages import Parser, of_command
from cocon.versions import __version__

#: in the order in which a run needs them
COMMANDS = (
    "plan",
    "render",
    "data",
    "index",
    "shards",
    "init",
    "pretrain",
    "features",
    "evaluate",
    "finetune",
    "ensemble",
    "relations",
    "neighbours",
    "sizes",
    "predict",
    "summary",
    "ablation",
    "curves",
    "report",
    "export",
    "embed",
    "lease",
    "launch",
    "rank",
    "schema",
)


def build_parser(chosen: str | None) -> argparse.ArgumentParser:
    """Build the parser of ``cocon``; it imports only the chosen command, so that ``--help`` is fast."""
    parser = Parser(
        prog="cocon",
        description=sys.modules["cocon"].__doc__,
        epilog=EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"cocon {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        if chosen not in (None, name):
            continue
        module = importlib.import_module(f"cocon.commands.{name}")
        subparser = subparsers.add_parser(name, help=module.HELP, description=module.__doc__)
        module.add_arguments(subparser)
        subparser.set_defaults(run=module.run)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status, see :data:`cocon.boundary.EXIT_STATUS`."""
    arguments = sys.argv[1:] if arguments is None else arguments
    # -v and -q may stand before the command.
    first = next((argument for argument in arguments if not argument.startswith("-")), None)
    chosen = first if first in COMMANDS else None

    def command() -> None:
        args = build_parser(chosen).parse_args(arguments)
        with of_command(args, f"cocon {__version__}", arguments):
            args.run(args)

    return run(command, f"cocon {chosen}" if chosen else "cocon")
