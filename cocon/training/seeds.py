"""Random numbers that do not depend on history.

Every seed is a function of the run's seed and of what it is for (an epoch, a step, a view), so a run that
was interrupted draws what it would have drawn, and no generator's state has to be stored.
"""

from __future__ import annotations

import hashlib


def derived_seed(seed: int, *purpose: int | str) -> int:
    """A seed below 2^63 for one purpose; different purposes give unrelated seeds."""
    digest = hashlib.sha256(repr((seed, *purpose)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1
