"""The manual of ``config.yaml``, made from the typed configuration: a file with all defaults, and a page.

Both are walks through the JSON schema, which has the names, types, defaults and descriptions.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from cocon.config.json_schema import Node, json_schema

#: tables of sections, and what their entries are called in the file of defaults: empty: by their kind
_ENTRIES = {"datasets": "", "recipes": "r18_128", "ablations": "example"}
_WIDTH = 118
_DOCUMENT = re.compile(r"docs/(\w+)\.md")
_CODE = re.compile(r"``?([^`]+)``?")
#: code, or a word with a part to fill in, which HTML would take for a tag
_CODE_OR_PATTERN = re.compile(r"``?[^`]+``?|[^\s`(]*<[^\s`]+?>[^\s`,;)]*")

Shape = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Key:
    """One key of a section.

    Attributes:
        name: in the file.
        node: its part of the schema.
        value: the default, or an example of what has to be given.
        required: whether it has to be given.
    """

    name: str
    node: Node
    value: Any
    required: bool

    @property
    def meaning(self) -> str:
        """Its description, without line breaks."""
        return _first(self.node)


#: title and keys of the first section of a shape
Seen = dict[Shape, tuple[str, list[Key]]]


class Manual:
    """What the schema says, section by section."""

    def __init__(self) -> None:
        self.schema = json_schema()

    def resolved(self, node: Node) -> Node:
        """A node, or the section that it refers to; with the node's own description, if it has one."""
        if "$ref" not in node:
            return node
        section: Node = self.schema["$defs"][node["$ref"].rpartition("/")[2]]
        return section | {key: value for key, value in node.items() if key != "$ref"}

    def keys(self, section: Node) -> list[Key]:
        """The keys of a section but for those that have moved; sections within it come last."""
        found = []
        for name, node in section["properties"].items():
            node = self.resolved(node)
            if node.get("deprecated"):
                continue
            required = name in section.get("required", ()) or name in _ENTRIES
            value = node.get("const", node.get("examples", [None])[0]) if required else node.get("default")
            found.append(Key(name, node, value, required))
        return sorted(found, key=self.has_parts)

    def entries(self, node: Node) -> list[Node]:
        """Of a section with names of the user's: what an entry can be."""
        entry = next(iter(node.get("patternProperties", {}).values()), node.get("additionalProperties"))
        if not isinstance(entry, dict):
            return []
        return [self.resolved(each) for each in entry.get("oneOf", [entry]) if "$ref" in each]

    def has_parts(self, key: Key) -> bool:
        """Whether a key is a section, or a table of sections, that is explained by itself."""
        entries = self.entries(key.node)
        return "properties" in key.node or len(entries) == 1 or (key.required and bool(entries))

    def type_of(self, node: Node) -> str:
        """What a value can be, in words."""
        if "const" in node:
            return _code(node["const"])
        if "enum" in node:
            return _any_of(node["enum"])
        if "anyOf" in node:
            return " or ".join(map(self.type_of, node["anyOf"]))
        match node.get("type"):
            case "integer":
                return f"whole number{_range(node)}"
            case "number":
                return f"number{_range(node)}"
            case "boolean":
                return "true or false"
            case "null":
                return "null"
            case "array" if "prefixItems" in node:
                return f"list of {len(node['prefixItems'])}, each {self.type_of(node['prefixItems'][0])}"
            case "array":
                return f"list, each {self.type_of(node['items'])}"
            case "object" if "properties" in node or self.entries(node):
                return "sections"
            case "object":
                names, value = node["propertyNames"]["enum"], node["additionalProperties"]
                return f"for {_any_of(names)}: {self.type_of(value)}"
        return "path" if node.get("format") == "path" else "text"

    def shape(self, section: Node) -> Shape:
        """What sections have in common that differ in their defaults only."""
        return tuple((key.name, self.type_of(key.node)) for key in self.keys(section))


def _first(node: Node) -> str:
    """The first paragraph of a description."""
    return " ".join(node["description"].partition("\n\n")[0].split())


def _code(value: Any) -> str:
    return f"`{_yaml(value)}`"


def _any_of(values: list[Any]) -> str:
    *first, last = map(_code, values)
    return f"{', '.join(first)} or {last}" if first else last


def _range(node: Node) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    if low is not None and high is not None:
        return f" {low:g} to {high:g}"
    words = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    found = [f"{sign} {node[name]:g}" for name, sign in words.items() if name in node]
    return " " + ", ".join(found) if found else ""


def _yaml(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10_000, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")


# ----------------------------------------------------------------------------- the file of defaults

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
            yield from _comment(_plain(_first(entry)), below)
            yield f"{below}{_entry_name(key.name, entry)}:"
            for inner in manual.keys(entry):
                yield from _file_lines(manual, inner, below + "  ", seen)
    else:
        yield f"{indent}{key.name}: {_yaml(key.value)}"
        if manual.has_parts(key):
            yield f"{below}# <name>:"
            for inner in manual.keys(entries[0]):
                yield from (f"{below}#   {line}" for line in _file_lines(manual, inner, "", seen))


def _entry_name(section: str, entry: Node) -> str:
    return _ENTRIES[section] or str(entry["properties"]["kind"]["const"])


def _plain(text: str) -> str:
    return _CODE.sub(r"\1", text)


def _comment(text: str, indent: str) -> Iterator[str]:
    wrapped = textwrap.wrap(text, _WIDTH - len(indent), break_on_hyphens=False, break_long_words=False)
    return (f"{indent}# {line}" for line in wrapped)


# -------------------------------------------------------------------------------------- the page

_HEAD_OF_PAGE = """\
<!-- `make schema` writes this page from cocon/config/schema/ and cocon/config/manual.py: change it there. -->

# Configuration

`config.yaml` says what a run does. Here is every key: its default, what it can be, and what it means. What is
left out has its default; an unknown key is an error with its line and the nearest known name.
`config/config.default.yaml` is the same as a file. Editors that know YAML schemas complete and check the
keys, by `workflow/schemas/config.schema.json`. After a change only what depends on it
[runs again](reruns.md).

## Files

Write what is yours into a file of your own, on top of `config.yaml`, for instance `mine.yaml`:

```yaml
# yaml-language-server: $schema=workflow/schemas/config.schema.json
datasets:
  mine:
    kind: folder
    recipe: r18_128
    shards: 1
    videos: /path/to/videos
    table: /path/to/table.csv
```

```
cocon data check mine --configfile mine.yaml
snakemake --cores 8 eval_mine --configfile mine.yaml
```

- Files are merged key by key: `datasets: {ucf101: {videos: /data/ucf101}}` changes that key of `ucf101` and
  no other. Of several files after `--configfile` later ones count over earlier ones, and what follows
  `--config` (`--config seed=1`) counts over all files.
- `include` names files whose keys count where no other file has them. `config.yaml` includes
  `config/paper.yaml`: the public data sets, and the recipes of the paper.
- Names of data sets, recipes, ablations, protocols and splits become parts of targets and files: at most 40
  of A-Z, a-z, 0-9, `_`, `-` and `.`, and a letter or a digit first.
- Keys that a run does not read (`momentum` with `optimiser: adam`) are named when the configuration is read.
- Without a target, the first data set is evaluated.
"""

_TITLES = {"jobs": "Jobs", "datasets": "Data sets", "recipes": "Recipes", "ablations": "Ablations"}


def page() -> str:
    """``docs/configuration.md``."""
    manual, seen = Manual(), Seen()
    keys = manual.keys(manual.schema)
    lines = ["", "## Top level", "", *_table(manual, [key for key in keys if not manual.has_parts(key)])]
    for key in keys:
        if manual.has_parts(key):
            lines += ["", f"## {_TITLES[key.name]}", "", *_paragraph(key.meaning)]
            if "properties" in key.node:
                lines += _inner_lines(manual, key.node, key.name, seen)
            for title, section in _parts(manual, key, "") if manual.entries(key.node) else []:
                lines += _page_lines(manual, section, title, seen)
    return _HEAD_OF_PAGE + "\n".join(lines) + "\n"


def _parts(manual: Manual, key: Key, prefix: str) -> Iterator[tuple[str, Node]]:
    """The sections of a key, with their titles."""
    if "properties" in key.node:
        yield f"{prefix}{key.name}", key.node
    for entry in manual.entries(key.node):
        kind = entry["properties"].get("kind")
        yield f"{prefix}{key.name}.<name>" + (f", kind: {kind['const']}" if kind else ""), entry


def _page_lines(manual: Manual, section: Node, title: str, seen: Seen) -> Iterator[str]:
    """A heading, a sentence and a table of a section, then the same of the sections within.

    Args:
        manual: the source.
        section: that the lines are about.
        title: of its heading.
        seen: earlier sections.
    """
    keys = manual.keys(section)
    plain = [key for key in keys if not manual.has_parts(key)]
    yield from ("", f"### `{title}`", "", *_paragraph(_first(section)))
    if plain:
        like, known = seen.setdefault(manual.shape(section), (title, keys))
        if like != title and len(plain) > 2:
            values = {key.name: key.value for key in known}
            plain = [key for key in plain if key.value != values[key.name]]
            others = "with these defaults" if plain else "with the same defaults"
            yield from ("", *_paragraph(f"Keys as of `{like}`, {others}{':' if plain else '.'}"))
    if plain:
        yield from ("", *_table(manual, plain))
    moved = [f"`{name}`" for name, node in section["properties"].items() if node.get("deprecated")]
    if moved and title in (like for like, _ in seen.values()):
        text = f"{', '.join(moved)} can be given here as well, and belong under [jobs](#jobs)."
        yield from ("", *_paragraph(text))
    yield from _inner_lines(manual, section, title, seen)


def _inner_lines(manual: Manual, section: Node, title: str, seen: Seen) -> Iterator[str]:
    """The lines of the sections within a section."""
    for key in manual.keys(section):
        if manual.has_parts(key):
            for below, part in _parts(manual, key, f"{title}."):
                yield from _page_lines(manual, part, below, seen)


def _paragraph(text: str) -> list[str]:
    text = _linked(text[:1].upper() + text[1:])
    text += "" if text.endswith((".", ":", "?")) else "."
    return textwrap.wrap(text, _WIDTH + 2, break_on_hyphens=False, break_long_words=False)


def _table(manual: Manual, keys: list[Key]) -> Iterator[str]:
    yield "| key | default | can be | meaning |"
    yield "| --- | --- | --- | --- |"
    for key in keys:
        default = "must be given" if key.required else _code(key.value)
        cells = [f"`{key.name}`", default, manual.type_of(key.node), _linked(key.meaning)]
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _linked(text: str) -> str:
    """With links to documents, and with patterns as code."""
    text = _CODE_OR_PATTERN.sub(lambda found: f"`{found[0].strip('`')}`", text)
    return _DOCUMENT.sub(r"[\1](\1.md)", text)
