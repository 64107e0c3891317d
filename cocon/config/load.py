"""Reads ``config.yaml`` and the ``--settings`` of single commands."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from cocon.config.config_files import parse_yaml, shown, stacked
from cocon.config.problems import Location, line_numbers, sentences
from cocon.config.schema import Config, ViewExtraction
from cocon.errors import ConfigError
from cocon.tables import read_text

log = logging.getLogger(__name__)
SectionT = TypeVar("SectionT", bound=BaseModel)


def _validate(
    document: Any, section: type[SectionT], name: str, places: Mapping[Location, str] | None = None
) -> SectionT:
    try:
        return section.model_validate(document)
    except ValidationError as error:
        found = sentences(error, section, document, places or {})
        listed = "\n".join(f"    {line}" for line in found)
        raise ConfigError(f"{name} has {len(found)} problem{'s' * (len(found) > 1)}:\n{listed}") from None


def load_config(*paths: Path, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read and validate ``config.yaml``.

    Args:
        paths: the file; of several, later ones count over earlier ones, key by key.
        overrides: the document as another program merged it (Snakemake, with ``--config``); line numbers are
            still taken from the files.

    Raises:
        ConfigError: with every problem, its line and the nearest known key.
    """
    name = " + ".join(map(shown, paths))
    log.debug("reading %s", name)
    document, places = stacked(paths, overrides)
    config = _validate(document, Config, name, places)
    _check_results(config.results, name)
    return config


def _check_results(folder: Path, config: str) -> None:
    """Check that the folder of the results exists or can be created."""
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
    document = parse_yaml(text, name) or {}
    places = {path: f"line {line}" for path, line in line_numbers(text).items()}
    return _validate(document, section, name, places)


def dump_settings(section: BaseModel) -> str:
    """The section as canonical JSON, as :func:`parse_settings` reads it back."""
    if isinstance(section, ViewExtraction):
        document = section.in_use()
    else:
        document = section.model_dump(mode="json", by_alias=True)
    return json.dumps(document, sort_keys=True, separators=(",", ":"))
