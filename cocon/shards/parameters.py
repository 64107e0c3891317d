"""What shards say about how they were extracted, and whether two of them say the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cocon.errors import ShardError
from cocon.shards.reader import Shard

VERSIONS = ("opencv",)
"""Parameters that name the version of a program, and no setting."""

_ABSENT = "(none)"


def common_parameters(shards: Iterable[Shard]) -> dict[str, Any]:
    """The parameters of shards of one view; versions in which they differ are left out.

    Raises:
        ShardError: the shards were extracted with different settings.
    """
    first, *others = shards
    common = dict(first.parameters)
    for other in others:
        different = differences(first.parameters, other.parameters)
        different |= differences(other.parameters, first.parameters)
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


def differences(expected: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, str]:
    """Which parameters of ``expected`` are others in ``found``, as ``key`` to ``expected -> found``.

    Keys of nested settings are joined by a point. What ``found`` has beside them does not matter.
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
