"""Derives seeds from a run's seed and a purpose, independent of history.

Every seed is a function of the run's seed and its purpose (an epoch, a step, a view). So an interrupted run
draws the same numbers after resuming, and no generator state has to be stored.
"""

from __future__ import annotations

import hashlib


def derived_seed(seed: int, *purpose: int | str) -> int:
    """A seed below 2^63 for one purpose; different purposes give unrelated seeds."""
    digest = hashlib.sha256(repr((seed, *purpose)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1
