"""``cocon schema``: the JSON schema, the defaults and the manual of ``config.yaml``."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from cocon.config.default_file import default_file
from cocon.config.json_schema import compact, json_schema
from cocon.config.manual_page import page
from cocon.errors import ConfigError
from cocon.files import output_file, write_text

HELP = "write the JSON schema, the defaults and the manual of config.yaml"
_OUTPUTS: dict[str, tuple[Callable[[], str], str]] = {
    "output": (lambda: compact(json_schema()) + "\n", "the schema, a JSON file"),
    "defaults": (default_file, "every key with its default and its meaning, a YAML file"),
    "manual": (page, "the same as a page, a Markdown file"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``cocon schema``."""
    for name, (_, text) in _OUTPUTS.items():
        parser.add_argument(f"--{name}", type=output_file, metavar="FILE", help=text)


def run(args: argparse.Namespace) -> None:
    """Write the requested files.

    Raises:
        ConfigError: when none is requested.
    """
    if not any(getattr(args, name) for name in _OUTPUTS):
        raise ConfigError("there is nothing to write", f"give {', '.join(f'--{name}' for name in _OUTPUTS)}")
    for name, (text, _) in _OUTPUTS.items():
        if path := getattr(args, name):
            write_text(path, text())
