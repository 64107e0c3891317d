"""Reads ``config.yaml`` and the ``--settings`` of single commands."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from cocon.config.problems import check_aliases, sentences
from cocon.config.schema import Config, ViewExtraction
from cocon.errors import ConfigError
from cocon.tables import read_text

SectionT = TypeVar("SectionT", bound=BaseModel)


class _Loader(yaml.SafeLoader):
    """A safe loader that refuses a key which is given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                line = key.start_mark.line + 1
                raise ConfigError(f"line {line}: '{key.value}' is given twice", "keep one of the two")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _parse_yaml(text: str, name: str) -> Any:
    try:
        check_aliases(yaml.compose(text, yaml.SafeLoader))
        return yaml.load(text, _Loader)
    except ConfigError as error:
        raise ConfigError(f"{name}, {error.message}", error.hint) from None
    except yaml.constructor.ConstructorError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        fault = str(error.problem)
        if "constructor for the tag" in fault:
            fault = f"the tag {fault.rpartition('tag ')[2]} has no meaning here"
        raise ConfigError(f"{name}, line {line}: {fault}", "write a plain value") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{name} is not valid YAML: {error}") from error
    except ValueError as error:  # of a date or a number that is none
        raise ConfigError(
            f"{name} has a value that cannot be read: {error}", "put it between quotation marks"
        ) from None
    except RecursionError:
        raise ConfigError(f"{name} is nested too deeply") from None


def _validate(document: Any, section: type[SectionT], name: str, text: str = "") -> SectionT:
    try:
        return section.model_validate(document)
    except ValidationError as error:
        found = sentences(error, section, document, text)
        listed = "\n".join(f"    {line}" for line in found)
        raise ConfigError(f"{name} has {len(found)} problem{'s' * (len(found) > 1)}:\n{listed}") from None


def load_config(path: Path, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read and validate ``config.yaml``.

    Args:
        path: the file.
        overrides: the document as somebody else merged it (Snakemake, with ``--config``); line numbers are
            still taken from the file.

    Raises:
        ConfigError: with every problem, its line and the nearest known key.
    """
    if not path.is_file():
        raise ConfigError(f"there is no configuration file {path}")
    text = read_text(path, ConfigError)
    document = _parse_yaml(text, str(path))
    if overrides is not None:
        document = json.loads(json.dumps(overrides))
    config = _validate(document if document is not None else {}, Config, str(path), text)
    _check_results(config.results, path)
    return config


def _check_results(folder: Path, config: Path) -> None:
    """The folder of the results can be made, or is there."""
    for part in (folder, *folder.parents):
        if os.path.lexists(part):
            if not part.is_dir():
                raise ConfigError(
                    f"{config}: 'results' is {folder}, but {part} is a file", "give the name of a folder"
                )
            return


def parse_settings(text: str, section: type[SectionT]) -> SectionT:
    """Validate one section that is given as JSON or YAML text, or as the path of such a file.

    Raises:
        ConfigError: when it is neither, or does not fit the section.
    """
    name = "--settings"
    if text.strip() and not text.lstrip().startswith("{"):
        path = Path(text)
        if not os.path.isfile(path):
            raise ConfigError(
                f"--settings is neither JSON nor a file: {text!r}", "give '{...}' or the path of a file"
            )
        name, text = text, read_text(path, ConfigError)
    return _validate(_parse_yaml(text, name) or {}, section, name, text)


def dump_settings(section: BaseModel) -> str:
    """The section as canonical JSON, as :func:`parse_settings` reads it back."""
    if isinstance(section, ViewExtraction):
        document = section.in_use()
    else:
        document = section.model_dump(mode="json", by_alias=True)
    return json.dumps(document, sort_keys=True, separators=(",", ":"))
