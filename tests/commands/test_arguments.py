"""Options that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import pytest

from cocon.cli import build_parser


def options(parser: argparse.ArgumentParser, command: str = "") -> Iterator[tuple[str, argparse.Action]]:
    """Every option of every command, with the command."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield from options(inner, f"{command} {name}".strip())
        else:
            yield command, action


@pytest.mark.parametrize(
    ("option", "commands"),
    [
        ("--device", {"pretrain", "features", "finetune", "predict", "embed"}),
        ("--batch-size", {"features", "predict", "embed"}),
        ("--workers", {"features", "predict"}),
        ("--shard-count", {"pretrain", "features", "finetune", "sizes", "predict", "report", "export"}),
    ],
)
def test_an_option_takes_the_same_in_all_commands(option: str, commands: set[str]) -> None:
    found = {name: action for name, action in options(build_parser(None)) if option in action.option_strings}
    assert set(found) == commands
    assert (
        len({(action.type, action.default, str(action.choices), action.help) for action in found.values()})
        == 1
    )
