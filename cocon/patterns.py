"""Packs many paths into a few brace patterns, since a shell's command line is limited (128 kB on Linux).

``results/{a,b}/{x,y}.json`` are four files, as in a shell. Names hold no braces and no commas.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import product


def one_of(names: Iterable[str]) -> str:
    """The part of a pattern that is any of the names."""
    return "{" + ",".join(names) + "}"


def expanded(patterns: Iterable[str]) -> list[str]:
    """All paths of some patterns; one without braces is itself."""
    paths = []
    for pattern in patterns:
        parts = re.split(r"\{([^{}]*)\}", pattern)
        choices = [part.split(",") if number % 2 else [part] for number, part in enumerate(parts)]
        paths += ["".join(chosen) for chosen in product(*choices)]
    return paths
