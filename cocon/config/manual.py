"""The contents of the manual of ``config.yaml``: every key, as described in the JSON schema.

The manual is a file with all defaults (:mod:`cocon.config.default_file`) and a page
(:mod:`cocon.config.manual_page`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from cocon.config.json_schema import Node, json_schema

#: tables of sections, and what their entries are called in the file of defaults: empty: by their kind
ENTRIES = {"datasets": "", "recipes": "r18_128", "ablations": "example"}
#: columns of a line
WIDTH = 118
#: names and types of the keys of a section
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
        return first_paragraph(self.node)


class Manual:
    """The contents of the schema, section by section."""

    def __init__(self) -> None:
        self.schema = json_schema()

    def resolved(self, node: Node) -> Node:
        """A node, or the section that it refers to; with the node's own description, if it has one."""
        if "$ref" not in node:
            return node
        section: Node = self.schema["$defs"][node["$ref"].rpartition("/")[2]]
        return section | {key: value for key, value in node.items() if key != "$ref"}

    def keys(self, section: Node) -> list[Key]:
        """The keys of a section, except moved ones; sections within it come last."""
        found = []
        for name, node in section["properties"].items():
            node = self.resolved(node)
            if node.get("deprecated"):
                continue
            required = name in section.get("required", ()) or name in ENTRIES
            value = node.get("const", node.get("examples", [None])[0]) if required else node.get("default")
            found.append(Key(name, node, value, required))
        return sorted(found, key=self.has_parts)

    def entries(self, node: Node) -> list[Node]:
        """The possible types of an entry, in a section whose keys are names chosen by the user."""
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
            return as_code(node["const"])
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
        """A key that is equal for sections that differ in their defaults only."""
        return tuple((key.name, self.type_of(key.node)) for key in self.keys(section))


def first_paragraph(node: Node) -> str:
    """The first paragraph of a description."""
    return " ".join(node["description"].partition("\n\n")[0].split())


def as_code(value: Any) -> str:
    """A value as YAML, between backquotes."""
    return f"`{as_yaml(value)}`"


def _any_of(values: list[Any]) -> str:
    *first, last = map(as_code, values)
    return f"{', '.join(first)} or {last}" if first else last


def _range(node: Node) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    if low is not None and high is not None:
        return f" {low:g} to {high:g}"
    words = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    found = [f"{sign} {node[name]:g}" for name, sign in words.items() if name in node]
    return " " + ", ".join(found) if found else ""


def as_yaml(value: Any) -> str:
    """A value as YAML, in one line."""
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10_000, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")
