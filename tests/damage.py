"""Damages files in many ways, with a fixed seed, and looks at what a reader makes of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cocon.errors import CoConError


def flips(content: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """Copies with one bit flipped, at the beginning, the end and evenly in between."""
    rng = random.Random(seed)
    places = {0, 1, len(content) - 1, *(int(place) for place in np.linspace(0, len(content) - 1, count))}
    for place in sorted(places):
        damaged = bytearray(content)
        damaged[place] ^= 1 << rng.randrange(8)
        yield bytes(damaged)


def mutants(content: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """Copies that are cut short, or have ranges of noise, zeros or ones."""
    rng = random.Random(seed)
    yield b""
    for number in range(count):
        place, length = rng.randrange(len(content)), rng.randrange(1, 64)
        noise = (rng.randbytes(length), bytes(length), b"\xff" * length)[number % 3]
        yield content[:place] if number % 4 == 0 else content[:place] + noise + content[place + length :]


def refused(
    path: Path, content: bytes, read: Callable[[], Any], same: Callable[[Any], bool]
) -> CoConError | None:
    """The error that reading ``content`` ends with; None when what was read is the same as before.

    Any other exception, and other content, is a failure.
    """
    path.write_bytes(content)
    try:
        found = read()
    except CoConError as fault:
        error = fault
    else:
        assert same(found), "other content was read without an error"
        return None
    assert str(path) in error.message, error.message
    assert error.hint, error.message
    return error
