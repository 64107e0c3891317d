"""Reads and compares the extraction parameters of shards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cocon.config.schema import Extraction
from cocon.errors import ShardError
from cocon.shards.reader import Shard

VERSIONS = ("opencv",)
"""Parameters that are program versions, not settings."""

_ABSENT = "(none)"


def common_parameters(shards: Iterable[Shard]) -> dict[str, Any]:
    """The common parameters of shards of one view; differing program versions are left out.

    Raises:
        ShardError: the shards were extracted with different settings.
    """
    first, *others = shards
    common = dict(first.parameters)
    for other in others:
        ours, theirs = essential(first.view, first.parameters), essential(other.view, other.parameters)
        different = {key for key in ours | theirs if ours.get(key, _ABSENT) != theirs.get(key, _ABSENT)}
        settings = [key for key in different if key not in VERSIONS]
        if settings:
            raise ShardError(
                f"{first.path} and {other.path} were extracted with different settings: "
                + ", ".join(sorted(settings)),
                "extract the view again, all of it with the same settings",
            )
        for key in different:
            common.pop(key, None)
    return common


def essential(view: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that differ from the defaults of the configuration, keys of sections joined by a point.

    A key added by a later version of the program is at its default in shards without it.
    """
    section = getattr(Extraction(), view, None)
    defaults = dict(_leaves(section.model_dump(mode="json", by_alias=True))) if section else {}
    return {key: value for key, value in _leaves(parameters) if key not in defaults or defaults[key] != value}


def differences(expected: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, str]:
    """Parameters of ``expected`` that differ in ``found``, as ``key`` to ``expected -> found``.

    Keys of nested settings are joined by a point. Additional keys of ``found`` are ignored.
    """
    theirs = dict(_leaves(found))
    return {
        key: f"{value} -> {theirs.get(key, _ABSENT)}"
        for key, value in _leaves(expected)
        if theirs.get(key, _ABSENT) != value
    }


def _leaves(document: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in document.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
