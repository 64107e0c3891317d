"""``cocon <command>``: every rule of the workflow as a command that a person can type."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from cocon import __version__
from cocon.errors import CoConError

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
    "linear",
    "retrieval",
    "finetune",
    "ensemble",
    "relations",
    "predict",
    "summary",
    "ablation",
    "report",
    "export",
    "embed",
    "lease",
    "launch",
    "rank",
    "schema",
)


def build_parser(chosen: str | None) -> argparse.ArgumentParser:
    """The parser of ``cocon``; only the chosen command is imported, so that help comes at once."""
    parser = argparse.ArgumentParser(prog="cocon", description=sys.modules["cocon"].__doc__)
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
    """Run one command; returns 0, 2 when the user can mend what went wrong, 75 when a signal stopped it."""
    arguments = sys.argv[1:] if arguments is None else arguments
    chosen = arguments[0] if arguments and arguments[0] in COMMANDS else None
    args = build_parser(chosen).parse_args(arguments)
    try:
        args.run(args)
    except CoConError as error:
        print(f"cocon {args.command}: {error}", file=sys.stderr)
        return error.exit_code
    return 0
