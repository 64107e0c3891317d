"""How the loops of the CPU version are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

_OPTIONS: Any = {"fastmath": True, "nogil": True, "error_model": "numpy"}


def compiled(function: Callable[..., Any]) -> Any:
    """The compiled function; its code is cached on disk if a folder is writable.

    Numba writes to ``__pycache__`` next to the source, else to the user's cache folder, else to
    ``NUMBA_CACHE_DIR``, under a temporary name first, so that several processes may do so at once. Without a
    writable folder every process compiles for itself.
    """
    try:
        return njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:
        return njit(**_OPTIONS)(function)
