"""Colours that occur in rooms, streets and wardrobes, as sRGB in [0, 1]."""

from __future__ import annotations

import numpy as np


def _colours(*codes: str) -> np.ndarray:
    return np.array([[int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)] for code in codes])


CLOTHES = _colours(
    "2b3a55", "7d2e2e", "3d5a45", "c9b18a", "e3e0d8", "4a4a4f", "8fa3b8", "b3543c",
    "d9a441", "6b4a6b", "27282b", "5f7f8c", "a9b59a", "c98d94", "39607f", "f0ead6",
)  # fmt: skip
TROUSERS = _colours(
    "2c3648", "3a3d42", "6d6250", "4d5a6b", "1f2124", "857a66", "5a5048", "46566b", "9a948a",
)  # fmt: skip
SHOES = _colours("1c1b1a", "e8e6e1", "5c4433", "3d4653", "8a8378", "7a2f2b")
WOODS = _colours("a9794e", "8a5f3b", "c39a6b", "6b4a30", "b88d63", "d2b48c")
CARPETS = _colours("7c7468", "5d6468", "8a7f73", "6e5a54", "566457", "9a9184", "4e5563")
STONES = _colours("b9b4aa", "a09b92", "8b8984", "cbc5b8", "d8d2c6", "79776f")
PLASTERS = _colours(
    "e9e4d8", "dcd6c8", "d5dadb", "cfd8cf", "e2d9c3", "c9c6c0", "d9cfc6", "bfc9d1", "b9bfae", "e8dfd2",
)  # fmt: skip
BRICKS = _colours("96584a", "a8705a", "7c5546", "c9c2b8", "b58a6f")
GRASSES = _colours("6a7f45", "7b8a4c", "5a7040", "8b9158", "647b4f")
ASPHALTS = _colours("6b6a68", "5a5a5b", "7d7a75", "8c8983")
SANDS = _colours("c9b48c", "b8a27c", "d6c6a1")
FURNITURE = _colours(
    "8a6a4a", "a98460", "5b4433", "d9d4ca", "5a6673", "77502f", "70756a", "9b3f33", "3f5566",
    "c2a878", "33363b",
)  # fmt: skip
SKIES = _colours("8fb4d9", "a9c3dc", "c3d0da", "b7c0c9", "7fa6d2")
FOLIAGE = _colours("4d6040", "5d6f4a", "3f5338", "6f7a52")
FACADES = _colours("a39a8c", "8d8f93", "b8a996", "9c7f6d", "c4bdb1")


def pick(rng: np.random.Generator, palette: np.ndarray, spread: float = 0.012) -> np.ndarray:
    """One colour near an entry of ``palette``: lighter or darker, and a little off in hue."""
    colour = palette[rng.integers(len(palette))]
    result: np.ndarray = np.clip(colour * rng.uniform(0.85, 1.12) + rng.normal(0, spread, 3), 0.03, 0.97)
    return result
