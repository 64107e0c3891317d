"""The files of a configuration, one on top of the other, and the line that each key is on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from cocon.config.problems import Location, check_aliases, line_numbers
from cocon.errors import ConfigError
from cocon.tables import read_text

#: folder of the program: of a clone, the one that has config/
PROGRAM = Path(__file__).resolve().parents[2]
INCLUDE = "include"


class _Loader(yaml.SafeLoader):
    """A safe loader that rejects duplicate keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                line = key.start_mark.line + 1
                raise ConfigError(f"line {line}: '{key.value}' is given twice", "keep one of the two")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def parse_yaml(text: str, name: str) -> Any:
    """The document in a YAML text.

    Args:
        text: the YAML.
        name: of its file, for errors.

    Raises:
        ConfigError: with the line.
    """
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
    except ValueError as error:  # raised for an invalid date or number
        raise ConfigError(
            f"{name} has a value that cannot be read: {error}", "put it between quotation marks"
        ) from None
    except RecursionError:
        raise ConfigError(f"{name} is nested too deeply") from None


def merged(*documents: Mapping[str, Any]) -> dict[str, Any]:
    """One document with the keys of all; sections are merged recursively, and the last value counts."""
    result: dict[str, Any] = {}
    for document in documents:
        for key, value in document.items():
            known = result.get(key)
            if isinstance(value, Mapping) and isinstance(known, Mapping):
                result[key] = merged(known, value)
            else:
                result[key] = value
    return result


def filled(document: Mapping[str, Any], below: Mapping[str, Any]) -> dict[str, Any]:
    """A document followed by the keys that only ``below`` has; the same within sections that both have."""
    return merged(document, below, document)  # once for the order, once for the values


@dataclass(frozen=True)
class ConfigFile:
    """One file.

    Attributes:
        path: of the file.
        name: in errors.
        document: its keys.
        lines: the line of each key, counted from 1.
    """

    path: Path
    name: str
    document: dict[str, Any]
    lines: dict[Location, int]

    @classmethod
    def read(cls, path: Path, name: str = "") -> ConfigFile:
        """Read a file.

        Raises:
            ConfigError: when it is missing, no YAML, or no mapping.
        """
        name = name or shown(path)
        if not path.is_file():
            raise ConfigError(f"there is no configuration file {name}")
        text = read_text(path, ConfigError)
        document = parse_yaml(text, name)
        if document is not None and not isinstance(document, dict):
            raise ConfigError(f"{name} has no keys", "write lines like `seed: 0`")
        return cls(path, name, document or {}, line_numbers(text))

    @property
    def includes(self) -> list[str]:
        """The names of the files that it includes."""
        names = self.document.get(INCLUDE)
        return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else []

    def included(self) -> Iterator[ConfigFile]:
        """The files that it includes, searched in its own folder, the working folder and that of the program.

        Raises:
            ConfigError: when one is missing, or includes others.
        """
        for index, name in enumerate(self.includes):
            places = (self.path.resolve().parent, Path(), PROGRAM)
            path = next((place / name for place in places if (place / name).is_file()), None)
            if path is None:
                line = self.lines.get((INCLUDE, index), 1)
                hint = "it is looked for from the folder of the file, the working folder, and the program's"
                raise ConfigError(f"{self.name}, line {line}: there is no file {name} to include", hint)
            file = ConfigFile.read(path, name)
            if INCLUDE in file.document:
                line = file.lines[(INCLUDE,)]
                raise ConfigError(
                    f"{name}, line {line}: a file that is included cannot include others",
                    f"name all of them in {self.name}",
                )
            yield file


def stacked(
    paths: Sequence[Path], overrides: Mapping[str, Any] | None = None
) -> tuple[dict[str, Any], dict[Location, str]]:
    """The merged document of several files, and the place of each of its keys.

    Later files count over earlier ones, and all of them over what they include. The keys of included files
    come last, so that the first data set is one of the files themselves.

    Args:
        paths: the files.
        overrides: the document that another program merged from the same files and other values (Snakemake,
            with ``--config``); lines are still those of the files.

    Raises:
        ConfigError: when a file cannot be read.
    """
    files = [ConfigFile.read(path) for path in paths]
    document = merged(*(file.document for file in files))
    sources = files
    if overrides is not None:
        document = json.loads(json.dumps(overrides))
        command_line = ConfigFile(Path("--config"), "--config", document, {})
        known = {name for file in files for name in file.includes}
        more = [name for name in command_line.includes if name not in known]
        sources = [*files, replace(command_line, document={INCLUDE: more})]
    below: dict[Path, ConfigFile] = {}
    for source in sources:
        for file in source.included():
            below.setdefault(file.path.resolve(), file)
    places: dict[Location, str] = {}
    for file in [*below.values(), *files]:
        replaced = set(_values(file.document))
        places = {path: place for path, place in places.items() if not _is_in(path, replaced)}
        named = len(files) > 1 or file not in files
        prefix = f"{file.name}, " if named else ""
        places |= {path: f"{prefix}line {line}" for path, line in file.lines.items()}
    return filled(document, merged(*(file.document for file in below.values()))), places


def _values(document: Any, path: Location = ()) -> Iterator[Location]:
    """The places of values that replace others instead of being merged with them."""
    if not isinstance(document, Mapping):
        yield path
        return
    for key, value in document.items():
        yield from _values(value, (*path, str(key)))


def _is_in(path: Location, replaced: set[Location]) -> bool:
    return any(path[:length] in replaced for length in range(1, len(path) + 1))


def shown(path: Path) -> str:
    """A file's name in errors: relative to the working folder, if it is inside."""
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        return os.path.relpath(path)
    return str(path)
