"""Objects that a table names by their place, imported when they are used."""

from __future__ import annotations

import importlib
from typing import Any


def imported(place: str) -> Any:
    """The object at ``module:name``.

    Raises:
        ImportError: if the module cannot be imported.
        AttributeError: if it has no such name.
    """
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)
