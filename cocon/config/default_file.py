"""``config/config.default.yaml``: every key with its default and its meaning."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

from cocon.config.json_schema import Node
from cocon.config.manual import ENTRIES, WIDTH, Key, Manual, as_yaml, first_paragraph

_CODE = re.compile(r"``?([^`]+)``?")

_HEAD_OF_FILE = """\
# yaml-language-server: $schema=../workflow/schemas/config.schema.json
# Every key with its default, what it means, and what it can be. `make schema` writes this file from
# cocon/config/schema/, and nothing reads it: take what you need into a file of your own. The same as a page:
# docs/configuration.md. Keys that must be given have an example; what occurs again is not explained again.
"""


def default_file() -> str:
    """``config/config.default.yaml``."""
    manual = Manual()
    lines = _HEAD_OF_FILE.splitlines()
    for key in manual.keys(manual.schema):
        lines += ["", *_file_lines(manual, key, "", set())]
    return "\n".join(lines) + "\n"


def _file_lines(manual: Manual, key: Key, indent: str, seen: set[tuple[str, str]]) -> Iterator[str]:
    """The lines of a key, and of the section that it is.

    Args:
        manual: the source.
        key: that the lines are about.
        indent: of the lines.
        seen: keys that have been explained, and how; they are not explained again.
    """
    below = indent + "  "
    entries = manual.entries(key.node)
    kind = "" if manual.has_parts(key) else f" [{_plain(manual.type_of(key.node))}]"
    text = _plain(key.meaning) + kind
    if (key.name, text) not in seen:
        seen.add((key.name, text))
        yield from _comment(text, indent)
    if "properties" in key.node:
        yield f"{indent}{key.name}:"
        for inner in manual.keys(key.node):
            yield from _file_lines(manual, inner, below, seen)
    elif key.required and entries:
        yield f"{indent}{key.name}:"
        for entry in entries:
            yield from _comment(_plain(first_paragraph(entry)), below)
            yield f"{below}{_entry_name(key.name, entry)}:"
            for inner in manual.keys(entry):
                yield from _file_lines(manual, inner, below + "  ", seen)
    else:
        yield f"{indent}{key.name}: {as_yaml(key.value)}"
        if manual.has_parts(key):
            yield f"{below}# <name>:"
            for inner in manual.keys(entries[0]):
                yield from (f"{below}#   {line}" for line in _file_lines(manual, inner, "", seen))


def _entry_name(section: str, entry: Node) -> str:
    return ENTRIES[section] or str(entry["properties"]["kind"]["const"])


def _plain(text: str) -> str:
    return _CODE.sub(r"\1", text)


def _comment(text: str, indent: str) -> Iterator[str]:
    wrapped = textwrap.wrap(text, WIDTH - len(indent), break_on_hyphens=False, break_long_words=False)
    return (f"{indent}# {line}" for line in wrapped)
