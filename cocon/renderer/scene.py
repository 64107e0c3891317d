"""Where a clip happens: a room or an open place, its light, and the furniture that stands in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cocon.renderer import textures
from cocon.renderer.palette import FURNITURE, PLASTERS, SKIES, pick


@dataclass(frozen=True)
class Light:
    """One distant lamp and light from everywhere.

    Attributes:
        direction: (3,) unit vector towards the lamp.
        ambient, diffuse: strengths.
        tint: (3,) colour of all light.
        shadow: darkening of the floor in a shadow.
        softness: blur of a shadow's edge, px in a picture of 160 px.
    """

    direction: np.ndarray
    ambient: float
    diffuse: float
    tint: np.ndarray
    shadow: float
    softness: float

    @classmethod
    def random(cls, rng: np.random.Generator, outdoors: bool) -> Light:
        """Draw the sun or a lamp."""
        azimuth = rng.uniform(0, 2 * np.pi)
        height = rng.uniform(0.6, 1.2) if outdoors else rng.uniform(0.9, 1.4)
        flat = np.cos(height)
        return cls(
            direction=np.array([np.cos(azimuth) * flat, np.sin(height), np.sin(azimuth) * flat]),
            ambient=rng.uniform(0.4, 0.6),
            diffuse=rng.uniform(0.45, 0.7),
            tint=np.clip(rng.uniform(0.9, 1.05) + rng.normal(0, 0.025, 3), 0.82, 1.12),
            shadow=rng.uniform(0.35, 0.5) if outdoors else rng.uniform(0.25, 0.4),
            softness=rng.uniform(0.8, 1.4) if outdoors else rng.uniform(1.5, 2.5),
        )


@dataclass(frozen=True)
class Cuboids:
    """Upright boxes; several make one piece of furniture.

    Attributes:
        centres: (N, 3) at time 0, m.
        halves: (N, 3) half the edges.
        turns: (N,) yaw.
        colours: (N, 3).
        velocities: (N, 3), m/s.
    """

    centres: np.ndarray
    halves: np.ndarray
    turns: np.ndarray
    colours: np.ndarray
    velocities: np.ndarray

    def at(self, seconds: float) -> np.ndarray:
        """(N, 3) centres after some time."""
        return self.centres + self.velocities * seconds


@dataclass(frozen=True)
class Scene:
    """The surroundings of the person: room or open place, light and furniture.

    Attributes:
        outdoors: no walls.
        ground: texture pyramid of the floor, repeated every ``GROUND_PERIOD`` m.
        walls: (4, H, W, 3) of a room, or a (1, 1, 1, 3) dummy outdoors.
        panorama: (H, W, 3) of an open place, or a (1, 1, 3) dummy indoors.
        centre: (2,) of the room on the floor (x, z), m; half: half its side; height: of the room, m.
        turn: yaw of the room.
        haze, ceiling: (3,) colours.
    """

    outdoors: bool
    ground: tuple[np.ndarray, ...]
    walls: np.ndarray
    panorama: np.ndarray
    centre: np.ndarray
    half: float
    height: float
    turn: float
    haze: np.ndarray
    ceiling: np.ndarray
    light: Light
    boxes: Cuboids

    @classmethod
    def random(
        cls, rng: np.random.Generator, radius: float, reach: float, camera_azimuth: float, seconds: float
    ) -> Scene:
        """Draw a scene around the origin, where the person moves.

        Args:
            rng: random generator.
            radius: m, how far from the origin the person gets.
            reach: m that arms and legs need beyond it.
            camera_azimuth: radians; no furniture stands between the camera and the person.
            seconds: length of the clip, for what moves.
        """
        outdoors = bool(rng.random() < 0.35)
        half, height = rng.uniform(3.6, 6.5), rng.uniform(2.6, 3.4)
        slack = max(half - radius - reach, 0) / np.sqrt(2)
        sky = pick(rng, SKIES, 0.015)
        return cls(
            outdoors=outdoors,
            ground=textures.pyramid(textures.floor(rng, outdoors)),
            walls=np.zeros((1, 1, 1, 3), np.float32) if outdoors else textures.walls(rng, 2 * half, height),
            panorama=textures.panorama(rng, sky) if outdoors else np.zeros((1, 1, 3), np.float32),
            centre=rng.uniform(-1, 1, 2) * slack,
            half=max(half, radius + reach),
            height=height,
            turn=rng.uniform(0, np.pi / 2),
            haze=0.72 * sky + 0.26,
            ceiling=pick(rng, PLASTERS, 0.01) * 0.5 + 0.45,
            light=Light.random(rng, outdoors),
            boxes=_furnish(rng, radius + reach, half, camera_azimuth, seconds),
        )


GROUND_PERIOD = 4.0


def _furnish(
    rng: np.random.Generator, free: float, half: float, camera_azimuth: float, seconds: float
) -> Cuboids:
    """Up to three pieces of furniture, outside of the circle ``free`` and away from the line of sight."""
    parts: list[tuple[np.ndarray, ...]] = []
    for _ in range(rng.integers(0, 4)):
        pieces = _PIECES[rng.integers(len(_PIECES))](rng)
        away = camera_azimuth + np.pi + rng.uniform(-1.9, 1.9)
        distance = free + rng.uniform(0.5, max(half - free, 0.8))
        spot = distance * np.array([np.cos(away), 0, np.sin(away)])
        turn = rng.uniform(0, np.pi)
        rolling = rng.random() < 0.35
        # What rolls goes around the person or away, never through.
        along = np.array([-np.sin(away), 0, np.cos(away)]) * rng.choice([-1, 1]) + 0.3 * spot / distance
        velocity = along * (rng.uniform(0.15, 0.5) if rolling else 0.0)
        start = spot - velocity * seconds / 2 * 0.5
        forward = np.array([[np.cos(turn), 0, -np.sin(turn)], [0, 1, 0], [np.sin(turn), 0, np.cos(turn)]])
        for centre, halves, colour in pieces:
            parts.append((start + centre @ forward, halves, np.array(turn), colour, velocity))
    columns = zip(*parts, strict=True) if parts else ([], [], [], [], [])
    shapes = ((-1, 3), (-1, 3), (-1,), (-1, 3), (-1, 3))
    return Cuboids(*(np.array(list(c), float).reshape(s) for c, s in zip(columns, shapes, strict=True)))


Piece = list[tuple[np.ndarray, np.ndarray, np.ndarray]]
"""Boxes as (centre, half edges, colour); the piece stands on the floor around its origin."""


def _box(
    x: float, y: float, z: float, width: float, height: float, depth: float, colour: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A box whose bottom is at height ``y``."""
    return np.array([x, y + height / 2, z]), np.array([width, height, depth]) / 2, colour


def _crate(rng: np.random.Generator) -> Piece:
    width, height, depth = rng.uniform(0.35, 0.8, 3)
    colour = pick(rng, FURNITURE)
    return [
        _box(0, 0.03, 0, width, height, depth, colour),
        _box(0, height + 0.03, 0, width + 0.04, 0.04, depth + 0.04, colour * 0.85),
    ]


def _table(rng: np.random.Generator) -> Piece:
    width, depth, height = rng.uniform(0.8, 1.5), rng.uniform(0.5, 0.8), rng.uniform(0.45, 0.75)
    colour = pick(rng, FURNITURE)
    legs = [
        _box(x * (width / 2 - 0.06), 0, z * (depth / 2 - 0.06), 0.06, height, 0.06, colour * 0.8)
        for x in (-1, 1)
        for z in (-1, 1)
    ]
    return [_box(0, height, 0, width, 0.05, depth, colour), *legs]


def _sofa(rng: np.random.Generator) -> Piece:
    width, colour = rng.uniform(0.8, 1.8), pick(rng, FURNITURE)
    return [
        _box(0, 0.06, 0, width, 0.36, 0.8, colour),
        _box(0, 0.06, -0.35, width, 0.75, 0.2, colour * 0.93),
        *(_box(side * (width / 2 + 0.07), 0.06, 0, 0.15, 0.55, 0.85, colour * 0.9) for side in (-1, 1)),
    ]


def _shelf(rng: np.random.Generator) -> Piece:
    width, height, colour = rng.uniform(0.6, 1.2), rng.uniform(0.8, 1.8), pick(rng, FURNITURE)
    count = max(int(height / 0.4), 2)
    boards = [_box(0, k * (height - 0.04) / count, 0, width, 0.04, 0.35, colour) for k in range(count + 1)]
    sides = [_box(side * width / 2, 0, 0, 0.04, height, 0.35, colour * 0.92) for side in (-1, 1)]
    return [*boards, *sides, _box(0, 0, -0.17, width, height, 0.02, colour * 0.75)]


_PIECES = (_crate, _table, _sofa, _shelf)
