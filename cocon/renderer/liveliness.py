"""Small random movements that make motion look human: sway, wandering gaze, and variation of the arms."""

from __future__ import annotations

import numpy as np

from cocon.renderer.posture import ARMS, Channels
from cocon.renderer.rotations import unit


def smooth_noise(
    rng: np.random.Generator, seconds: np.ndarray, dimensions: int, frequency: float = 0.7
) -> np.ndarray:
    """(T, dimensions) of slow random movement: a quadratic B-spline through normal draws.

    Args:
        rng: random generator.
        seconds: (T,) increasing times.
        dimensions: independent columns.
        frequency: about how often the movement turns, Hz.
    """
    position = (seconds - seconds[0]) * 2 * frequency
    knots = rng.standard_normal((int(position[-1]) + 3, dimensions))
    index = position.astype(int)
    u = (position - index)[:, None]
    result: np.ndarray = (
        0.5 * (1 - u) ** 2 * knots[index]
        + (0.5 + u - u * u) * knots[index + 1]
        + 0.5 * u * u * knots[index + 2]
    )
    return result


def enliven(channels: Channels, rng: np.random.Generator, seconds: np.ndarray) -> Channels:
    """Sway of the body, wandering gaze, and arms that never take quite the same way; feet stay planted."""
    result = dict(channels)
    for name, amounts in (
        ("root", (0.012, 0, 0.012)),
        ("turn", (0, 0.04, 0)),
        ("chest", (0.04, 0.04, 0.04)),
        ("neck", (0, 0.1, 0.08)),
    ):
        result[name] = channels[name] + smooth_noise(rng, seconds, 3) * amounts
    for name in ARMS:
        habit = 0.05 * rng.standard_normal(3)
        result[name] = unit(channels[name]) + 0.05 * smooth_noise(rng, seconds, 3, 0.8) + habit
    return result
