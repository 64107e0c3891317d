"""Surfaces of floors and walls, and the view from outdoors; all periodic, sRGB in [0, 1], float32."""

from __future__ import annotations

import cv2
import numpy as np

from cocon.renderer.palette import (
    ASPHALTS,
    BRICKS,
    CARPETS,
    FACADES,
    FOLIAGE,
    FURNITURE,
    GRASSES,
    PLASTERS,
    SANDS,
    STONES,
    WOODS,
    pick,
)

INDOOR_FLOORS = ("planks", "parquet", "carpet", "tiles", "concrete")
OUTDOOR_FLOORS = ("grass", "asphalt", "sand", "paving")
WALLS = ("plaster", "plaster", "wallpaper", "brick", "panels")


def noise(rng: np.random.Generator, height: int, width: int, cells: tuple[int, ...]) -> np.ndarray:
    """(height, width) periodic noise of unit variance.

    Args:
        rng: random generator.
        height, width: px.
        cells: number of cells along the height of every octave; the amplitude falls by 0.6 each.
    """
    total = np.zeros((height, width), np.float32)
    for octave, count in enumerate(cells):
        grid = rng.standard_normal((count, max(count * width // height, 1)), dtype=np.float32)
        padded = np.pad(grid, 2, mode="wrap")
        step = height / count
        large = cv2.resize(padded, None, fx=step, fy=step, interpolation=cv2.INTER_CUBIC)
        edge = round(2 * step)
        total += 0.6**octave * large[edge : edge + height, edge : edge + width]
    result: np.ndarray = total / total.std()
    return result


def _mottled(
    rng: np.random.Generator,
    colour: np.ndarray,
    shape: tuple[int, int],
    amount: float,
    cells: tuple[int, ...],
) -> np.ndarray:
    """A surface of one colour with lighter and darker places."""
    return colour.astype(np.float32) * (1 + amount * noise(rng, *shape, cells))[..., None]


def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.mgrid[0:size, 0:size]
    return rows, columns


def _boards(rng: np.random.Generator, size: int, across: int, length: int) -> np.ndarray:
    """Boards side by side, ``across`` of them, each ``size / length`` px long, with grain and joints."""
    colour = pick(rng, WOODS)
    rows, columns = _grid(size)
    width = size // across
    lane = columns // width
    shifted = (rows + rng.integers(0, size, across)[lane % across]) % size
    board = lane * length + shifted // (size // length)
    shade = rng.uniform(0.86, 1.1, across * length + length)[board]
    grain = cv2.resize(noise(rng, size // 8, size, (4, 16, 32)), (size, size), interpolation=cv2.INTER_CUBIC)
    surface: np.ndarray = colour.astype(np.float32) * (shade * (1 + 0.05 * grain))[..., None]
    joint = (columns % width < 2) | (shifted % (size // length) < 2)
    surface[joint] *= 0.72
    return surface


def _tiles(rng: np.random.Generator, size: int, palette: np.ndarray, across: int) -> np.ndarray:
    colour = pick(rng, palette)
    surface = _mottled(rng, colour, (size, size), 0.03, (8, 32, 128))
    rows, columns = _grid(size)
    width = size // across
    surface *= rng.uniform(0.93, 1.05, (across, across)).astype(np.float32)[rows // width, columns // width][
        ..., None
    ]
    if rng.random() < 0.3:
        surface[((rows // width + columns // width) % 2).astype(bool)] *= 0.8
    surface[(rows % width < 3) | (columns % width < 3)] *= 0.78
    return surface


def floor(rng: np.random.Generator, outdoors: bool, size: int = 512) -> np.ndarray:
    """(size, size, 3) of ground, to be repeated every 4 m."""
    kind = str(rng.choice(OUTDOOR_FLOORS if outdoors else INDOOR_FLOORS))
    if kind == "planks":
        surface = _boards(rng, size, int(rng.choice([16, 32])), 2)
    elif kind == "parquet":
        surface = _boards(rng, size, 32, 8)
    elif kind == "tiles":
        surface = _tiles(rng, size, STONES, int(rng.choice([8, 16])))
    elif kind == "paving":
        surface = _tiles(rng, size, STONES, 8)
    else:
        palette, amount, cells = {
            "carpet": (CARPETS, 0.06, (4, 64, 128, 256)),
            "concrete": (STONES, 0.05, (2, 8, 32, 128)),
            "grass": (GRASSES, 0.13, (4, 32, 128, 256)),
            "asphalt": (ASPHALTS, 0.09, (2, 128, 256)),
            "sand": (SANDS, 0.06, (4, 16, 64, 256)),
        }[kind]
        surface = _mottled(rng, pick(rng, palette), (size, size), amount, cells)
    result: np.ndarray = np.clip(surface, 0.02, 0.98).astype(np.float32)
    return result


def pyramid(texture: np.ndarray, levels: int = 6) -> tuple[np.ndarray, ...]:
    """The texture at full, half, quarter, ... size, so that distant ground does not flicker."""
    result = [texture]
    for _ in range(levels - 1):
        size = result[-1].shape[0] // 2
        result.append(cv2.resize(result[-1], (size, size), interpolation=cv2.INTER_AREA))
    return tuple(np.ascontiguousarray(level) for level in result)


def walls(rng: np.random.Generator, length: float, height: float, density: int = 40) -> np.ndarray:
    """(4, H, W, 3), the four walls of a square room with skirting board, pictures, doors and windows.

    Args:
        rng: random generator.
        length, height: of a wall, m.
        density: px per metre.
    """
    rows, columns = int(height * density), int(length * density)
    kind = str(rng.choice(WALLS))
    colour = pick(rng, BRICKS if kind == "brick" else WOODS if kind == "panels" else PLASTERS)
    skirting = pick(rng, WOODS if rng.random() < 0.5 else PLASTERS) * 0.9
    faces = []
    for _ in range(4):
        face = _wall_surface(rng, kind, colour, rows, columns)
        _decorate(rng, face, density)
        face[-int(0.1 * density) :] = skirting
        face[-int(0.1 * density) - 1] *= 0.8
        faces.append(face)
    result: np.ndarray = np.clip(np.stack(faces), 0.02, 0.98).astype(np.float32)
    return result


def _wall_surface(
    rng: np.random.Generator, kind: str, colour: np.ndarray, rows: int, columns: int
) -> np.ndarray:
    size = 256
    speckle = noise(rng, size, size, (2, 8, 64))
    tiled = np.tile(speckle, (-(-rows // size), -(-columns // size)))[:rows, :columns]
    face = colour.astype(np.float32) * (1 + 0.025 * tiled)[..., None]
    y, x = np.mgrid[0:rows, 0:columns]
    if kind == "wallpaper":
        face[(x // 8) % 2 == 0] *= 0.93
    elif kind == "panels":
        face *= (0.92 + 0.12 * ((x // 14 * 7) % 11) / 11)[..., None]
        face[x % 14 == 0] *= 0.7
    elif kind == "brick":
        shifted = x + (y // 4 % 2) * 5
        shade = rng.uniform(0.88, 1.1, 97)[(y // 4 * 31 + shifted // 10 * 17) % 97]
        face *= shade[..., None].astype(np.float32)
        face[(y % 4 == 0) | (shifted % 10 == 0)] *= 0.85
    return face


def _decorate(rng: np.random.Generator, face: np.ndarray, density: int) -> None:
    """Hang a few pictures, and now and then a door or a window."""
    rows, columns = face.shape[:2]

    def box(left: float, bottom: float, width: float, height: float, colour: np.ndarray) -> None:
        top = rows - int((bottom + height) * density)
        area = (
            slice(max(top, 0), rows - int(bottom * density)),
            slice(int(left * density), int((left + width) * density)),
        )
        face[area] = colour

    free = columns / density
    for _ in range(rng.integers(0, 4)):
        width, height = rng.uniform(0.4, 1.1, 2)
        left, bottom = rng.uniform(0.2, max(free - 1.4, 0.3)), rng.uniform(1.1, 1.6)
        box(left, bottom, width, height, pick(rng, FURNITURE))
        box(left + 0.05, bottom + 0.05, width - 0.1, height - 0.1, pick(rng, PLASTERS))
        box(left + 0.12, bottom + 0.12, width - 0.24, (height - 0.24) * 0.5, pick(rng, FOLIAGE))
    if rng.random() < 0.3:
        left, colour = rng.uniform(0.2, free - 1.2), pick(rng, FURNITURE)
        box(left - 0.07, 0, 1.04, 2.1, colour * 0.8)
        box(left, 0, 0.9, 2.03, colour)
    elif rng.random() < 0.4:
        left = rng.uniform(0.2, free - 2.2)
        box(left, 0.9, 1.8, 1.3, pick(rng, PLASTERS))
        for part in (0, 1):
            box(left + 0.06 + part * 0.87, 0.96, 0.81, 1.18, np.array([0.78, 0.86, 0.92]))


def panorama(rng: np.random.Generator, sky: np.ndarray, width: int = 1024, height: int = 128) -> np.ndarray:
    """(height, width, 3) of what surrounds an open place: sky above, trees or houses along the horizon.

    Columns are the azimuth; rows go from 45 degrees above the horizon down to the horizon.
    """
    elevation = np.linspace(1, 0, height, dtype=np.float32)[:, None, None]
    clouds = noise(rng, height, width, (3, 6, 12, 24))[..., None]
    haze = 0.72 * sky + 0.26
    picture = (haze * (1 - elevation) + sky * elevation * 0.95) + 0.035 * clouds * elevation**0.5
    y = np.arange(height)[:, None]
    if rng.random() < 0.65:
        for depth in (0.55, 0.2):
            profile = (
                noise(rng, 64, width, (2, 8, 24))[0] if depth > 0.3 else noise(rng, 64, width, (4, 16, 32))[0]
            )
            top = height - (10 - 8 * depth + 3.2 * profile * (1 - depth)).clip(1, 40) - 6 * depth
            leaves = pick(rng, FOLIAGE) * (1 + 0.12 * noise(rng, height, width, (16, 64))[..., None])
            picture = np.where((y > top)[..., None], leaves * (1 - depth) + haze * depth, picture)
    else:
        column = 0
        while column < width:
            span = int(rng.integers(30, 90))
            rise, colour = int(rng.integers(8, 34)), pick(rng, FACADES)
            house = np.broadcast_to(0.8 * colour + 0.2 * haze, (rise, min(span, width - column), 3)).copy()
            house[3::6, 3::7] *= 0.6
            house[4::6, 3::7] *= 0.6
            picture[height - rise :, column : column + span] = house
            column += span + int(rng.choice([0, 0, 25]))
    result: np.ndarray = np.clip(picture, 0, 1).astype(np.float32)
    return result
