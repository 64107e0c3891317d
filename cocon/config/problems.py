"""Turns pydantic's findings into sentences: the key, the line, and what was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

Location = tuple[int | str, ...]


def line_numbers(text: str) -> dict[Location, int]:
    """Map the path of every key of a YAML document to its line, counted from 1."""
    lines: dict[Location, int] = {}

    def visit(node: yaml.Node | None, path: Location) -> None:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                lines[(*path, key.value)] = key.start_mark.line + 1
                visit(value, (*path, key.value))
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                lines[(*path, index)] = item.start_mark.line + 1
                visit(item, (*path, index))

    visit(yaml.compose(text, yaml.SafeLoader), ())
    return lines


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """All model classes that an annotation can hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]


def known_keys(section: type[BaseModel], path: Location) -> list[str]:
    """The keys that are allowed at ``path`` below ``section``; one entry per alternative's field."""
    models = [section]
    for step in path:
        found = []
        for model in models:
            for name, field in model.model_fields.items():
                if step in (name, field.alias):
                    found += _models_in(field.annotation)
        if found:  # otherwise the step is a free name (of a data set, a recipe) or a union's tag
            models = found
    return sorted({field.alias or name for model in models for name, field in model.model_fields.items()})


def _in_document(path: Location, document: Any) -> Location:
    """Drop the steps that pydantic adds (tags of a union) and that do not stand in the document."""
    steps: list[int | str] = []
    for position, step in enumerate(path):
        is_last = position == len(path) - 1
        if isinstance(document, Mapping) and (step in document or is_last):
            steps.append(step)
            document = document.get(step)
        elif isinstance(document, list | tuple) and isinstance(step, int) and step < len(document):
            steps.append(step)
            document = document[step]
    return tuple(steps)


def sentence(error: Any, section: type[BaseModel], document: Any, lines: dict[Location, int]) -> str:
    """One line for one finding of pydantic."""
    path = _in_document(error["loc"], document)
    key = ".".join(map(str, path)) or "(the whole file)"
    known = lines.get(path) or next(
        (lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines), None
    )
    where = f"line {known}: " if known else ""
    if error["type"] == "extra_forbidden":
        allowed = known_keys(section, path[:-1])
        near = difflib.get_close_matches(str(path[-1]), allowed, n=1, cutoff=0.5)
        meant = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(allowed)}"
        return f"{where}unknown key '{key}'; {meant}"
    if error["type"] == "missing":
        return f"{where}'{key}' is missing"
    message = error["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    value = error["input"]
    shown = f" (it is {value!r})" if isinstance(value, str | int | float | bool) else ""
    return f"{where}'{key}': {message}{shown}"


def sentences(error: ValidationError, section: type[BaseModel], document: Any, text: str = "") -> list[str]:
    """All findings, in the order of the lines they stand on."""
    lines = line_numbers(text) if text else {}
    found = [sentence(item, section, document, lines) for item in error.errors(include_url=False)]
    return list(dict.fromkeys(found))
