"""The JSON schema of ``config.yaml``, for editors, and for the manual that is made from it."""

from __future__ import annotations

import json
from typing import Any

from cocon.config.schema import Config

Node = dict[str, Any]
_WIDTH = 110
#: the schema, its definitions, a definition, its properties
_LEVELS = 4


def json_schema() -> Node:
    """The schema of a configuration file.

    Nothing is required at the top level, since a file may be one of several that are merged. Titles and
    defaults of whole sections are left out: they repeat other parts of the schema.
    """
    schema = Config.model_json_schema()
    for section in [schema, *schema["$defs"].values()]:
        for key in section["properties"].values():
            key.pop("title", None)
            if "$ref" in key:
                key.pop("default", None)
    del schema["required"]
    return schema


def compact(value: Any, level: int = 0) -> str:
    """JSON with one line for each key of a section.

    Args:
        value: a JSON document.
        level: how many documents it is in.
    """
    line = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict) or level == _LEVELS or len(line) <= _WIDTH:
        return line
    indent = "\n" + " " * level
    parts = [f"{json.dumps(key)}: {compact(item, level + 1)}" for key, item in value.items()]
    return "{" + f"{indent} " + f",{indent} ".join(parts) + indent + "}"
