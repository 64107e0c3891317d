"""The settings (``--settings``) of ``cocon report``: the keys that the figures depend on."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from cocon.config.schema import Recipe, Section


class ReportSettings(Section):
    """Settings of ``cocon report``; the recipe needs to name only what differs from the defaults."""

    kind: str = Field("", description="kind of the data set, demo for instance")
    recipe_name: str = Field("", description="name of the recipe in config.yaml")
    recipe: Recipe = Recipe()
    seed: int | None = Field(None, description="seed of the configuration")
    device: str = Field("", description="auto, cpu or cuda")


def differences(section: BaseModel, default: BaseModel) -> list[tuple[str, Any, Any]]:
    """Keys whose values are not the default's, as (dotted key, value, default), in the schema's order."""
    ours, theirs = (_flat(part.model_dump(mode="json", by_alias=True)) for part in (section, default))
    return [
        (key, ours.get(key), theirs.get(key)) for key in ours | theirs if ours.get(key) != theirs.get(key)
    ]


def _flat(document: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in document.items():
        if isinstance(value, dict) and value:
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found
