"""Converts pydantic's errors into sentences: the key, the line, and the key that was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from cocon.errors import ConfigError

Location = tuple[int | str, ...]
#: in a configuration, each as often as aliases repeat it
MAX_VALUES = 100_000


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


def check_aliases(root: yaml.Node | None) -> None:
    """Reject a document with a value that contains itself, or that aliases expand to an immense size.

    Raises:
        ConfigError: with the line.
    """
    count = 0

    def visit(node: yaml.Node, above: tuple[yaml.Node, ...]) -> None:
        nonlocal count
        count += 1
        line = node.start_mark.line + 1
        if node in above:
            raise ConfigError(f"line {line}: the value of an anchor (&) contains itself", "write it out")
        if count > MAX_VALUES:
            raise ConfigError(f"line {line}: aliases (*) make more than {MAX_VALUES:,} values", "use fewer")
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    raise ConfigError(f"line {key.start_mark.line + 1}: a key is a list or a mapping")
                visit(value, (*above, node))
        elif isinstance(node, yaml.SequenceNode):
            for item in node.value:
                visit(item, (*above, node))

    if root is not None:
        visit(root, ())


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
    """Drop the steps that pydantic adds (tags of a union, [key]) and that do not stand in the document."""
    steps: list[int | str] = []
    path = path[:-1] if path[-1:] == ("[key]",) else path
    for position, step in enumerate(path):
        is_last = position == len(path) - 1
        if isinstance(document, Mapping) and (step in document or is_last):
            steps.append(step)
            document = document.get(step)
        elif isinstance(document, list | tuple) and isinstance(step, int) and step < len(document):
            steps.append(step)
            document = document[step]
    return tuple(steps)


def _where(path: Location, places: Mapping[Location, str]) -> str:
    """The place of a key, or of the section or list that contains it."""
    known = next((places[path[:n]] for n in range(len(path), 0, -1) if path[:n] in places), "")
    return f"{known}: " if known else ""


def _of_lists(errors: list[Any], document: Any) -> list[Any]:
    """One finding for a list with too few or too many values; pydantic has one for each that is missing."""
    found: dict[Location, Any] = {}
    for error in errors:
        path = tuple(error["loc"])
        if error["type"] == "too_short" and any(e["loc"][:-1] == path for e in errors):
            continue  # what is wrong in the list was not counted
        value = error["input"]
        if (
            error["type"] == "missing"
            and path
            and isinstance(path[-1], int)
            and isinstance(value, list | tuple)
        ):
            length = max(path[-1] + 1, found.get(path[:-1], {}).get("length", 0))
            found[path[:-1]] = {"type": "wrong_length", "loc": path[:-1], "input": value, "length": length}
        elif error["type"] == "too_long" and error["ctx"].get("field_type") == "Tuple":
            found[path] = {**error, "type": "wrong_length", "length": error["ctx"]["max_length"]}
        else:
            found[(*path, error["type"])] = error
    return [{"msg": "", **error} for error in found.values()]


def sentence(error: Any, section: type[BaseModel], document: Any, places: Mapping[Location, str]) -> str:
    """One line for one finding of pydantic."""
    path = _in_document(error["loc"], document)
    key = ".".join(map(str, path)) or "(the whole file)"
    message = error["msg"].removeprefix("Value error, ")
    if not path and error["type"] == "value_error":  # a check of several sections: it begins with the key
        named = tuple(message.partition(" ")[0].rstrip(":").split("."))
        return f"{_where(named, places)}{message}"
    where = _where(path, places)
    if error["type"] == "extra_forbidden":
        allowed = known_keys(section, path[:-1])
        near = difflib.get_close_matches(str(path[-1]), allowed, n=1, cutoff=0.5)
        meant = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(allowed)}"
        return f"{where}unknown key '{key}'; {meant}"
    if error["type"] == "missing":
        return f"{where}'{key}' is missing"
    if error["type"] == "wrong_length":
        return f"{where}'{key}' must have {error['length']} values (it has {len(error['input'])})"
    message = message[:1].lower() + message[1:]
    for pydantics, ours in (("a valid tuple", "a list"), ("tuple", "list"), (" after validation", "")):
        message = message.replace(pydantics, ours)
    value = error["input"]
    if error["type"] == "string_type" and isinstance(value, bool | int | float):
        message += ", put it between quotation marks"
    shown = f" (it is {value!r})" if isinstance(value, str | int | float | bool) else ""
    return f"{where}'{key}': {message}{shown}"


def sentences(
    error: ValidationError, section: type[BaseModel], document: Any, places: Mapping[Location, str]
) -> list[str]:
    """All findings of pydantic.

    Args:
        error: what it found.
        section: that the document was to be.
        document: that was read.
        places: where each key stands, for instance "line 3".
    """
    errors = _of_lists(error.errors(include_url=False), document)
    found = [sentence(item, section, document, places) for item in errors]
    return list(dict.fromkeys(found))
