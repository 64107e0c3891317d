"""Compiled loops that draw rooms, open places and furniture by one ray per pixel."""

from __future__ import annotations

import numpy as np

from cocon.renderer.raster import kernel

SKY, FLOOR, WALL, BOX = 0, 1, 2, 3
"""Kinds of surface; ``BOX + i`` is box number i."""

FAR = 1e6
"""Depth of the sky, m."""


@kernel
def _mix(texture, i, j, k, l, u, v, strength, picture, row, column):  # type: ignore[no-untyped-def]  # noqa: E741
    """Bilinear mean of the texels in columns i, k and rows j, l."""
    for channel in range(3):
        upper = texture[j, i, channel] * (1 - u) + texture[j, k, channel] * u
        lower = texture[l, i, channel] * (1 - u) + texture[l, k, channel] * u
        picture[row, column, channel] = (upper * (1 - v) + lower * v) * strength


@kernel
def _sample_periodic(texture, x, y, strength, picture, row, column):  # type: ignore[no-untyped-def]
    """Look up a texture whose sides are powers of two; 0 is the centre of the first texel."""
    left, top = np.floor(x), np.floor(y)
    across, down = texture.shape[1] - 1, texture.shape[0] - 1
    i, j = int(left) & across, int(top) & down
    _mix(texture, i, j, (i + 1) & across, (j + 1) & down, x - left, y - top, strength, picture, row, column)


@kernel
def _sample_within(texture, x, y, strength, picture, row, column):  # type: ignore[no-untyped-def]
    """Look up a texture that ends at its border."""
    across, down = texture.shape[1] - 1, texture.shape[0] - 1
    x, y = min(max(x, 0.0), across - 1e-3), min(max(y, 0.0), down - 1e-3)
    i, j = int(x), int(y)
    _mix(texture, i, j, i + 1, j + 1, x - i, y - j, strength, picture, row, column)


@kernel
def _near(distance, width):  # type: ignore[no-untyped-def]
    """1 at distance zero, falling to a ninth at twice the width."""
    return 1 / (1 + abs(distance) / width) ** 2


@kernel
def _ray(rotation, focal, size, column, row):  # type: ignore[no-untyped-def]
    """World direction through a pixel, of length one along the optical axis."""
    right, down = (column - (size - 1) / 2) / focal, (row - (size - 1) / 2) / focal
    return (
        right * rotation[0, 0] + down * rotation[1, 0] + rotation[2, 0],
        right * rotation[0, 1] + down * rotation[1, 1] + rotation[2, 1],
        right * rotation[0, 2] + down * rotation[1, 2] + rotation[2, 2],
    )


@kernel
def _floor(picture, row, column, ground, period, x, z, footprint, strength):  # type: ignore[no-untyped-def]
    """Look the floor up in the level of the pyramid whose texels are about a pixel wide."""
    texels = footprint * ground[0].shape[0] / period
    level = 0
    while texels > 1.41 and level < len(ground) - 1:
        texels, level = texels / 2, level + 1
    texture = ground[level]
    scale = texture.shape[0] / period
    _sample_periodic(texture, x * scale - 0.5, z * scale - 0.5, strength, picture, row, column)


@kernel
def trace_room(  # type: ignore[no-untyped-def]
    picture, depth, surface, rotation, eye, focal, ground, period, walls,
    centre, half, room_height, turn, ceiling, lamp, ambient, diffuse,
):  # fmt: skip
    """Draw floor, walls and ceiling as seen from inside, with darker edges where they meet."""
    size = depth.shape[0]
    cos, sin = np.cos(turn), np.sin(turn)
    a0 = (eye[0] - centre[0]) * cos + (eye[2] - centre[1]) * sin
    b0 = -(eye[0] - centre[0]) * sin + (eye[2] - centre[1]) * cos
    lamp_a, lamp_b = lamp[0] * cos + lamp[2] * sin, -lamp[0] * sin + lamp[2] * cos
    rows, columns = walls.shape[1:3]
    for row in range(size):
        for column in range(size):
            dx, dy, dz = _ray(rotation, focal, size, column, row)
            da, db = dx * cos + dz * sin, -dx * sin + dz * cos
            to_a = ((half if da > 0 else -half) - a0) / da if abs(da) > 1e-9 else FAR
            to_b = ((half if db > 0 else -half) - b0) / db if abs(db) > 1e-9 else FAR
            to_wall = min(to_a if to_a > 0 else FAR, to_b if to_b > 0 else FAR)
            to_floor = -eye[1] / dy if dy < -1e-5 else FAR
            to_ceiling = (room_height - eye[1]) / dy if dy > 1e-5 else FAR
            length = np.sqrt(dx * dx + dy * dy + dz * dz)
            if to_floor < to_wall:
                a, b = a0 + da * to_floor, b0 + db * to_floor
                corner = 1 - 0.3 * _near(half - max(abs(a), abs(b)), 0.5)
                footprint = to_floor * length / focal * np.sqrt(length / -dy)
                strength = corner * (ambient + diffuse * lamp[1] * 0.85)
                _floor(picture, row, column, ground, period, a, b, footprint, strength)
                depth[row, column], surface[row, column] = to_floor, FLOOR
            elif to_ceiling < to_wall:
                for channel in range(3):
                    picture[row, column, channel] = ceiling[channel] * (ambient + 0.5 * diffuse)
                depth[row, column], surface[row, column] = to_ceiling, WALL
            else:
                y, a, b = eye[1] + dy * to_wall, a0 + da * to_wall, b0 + db * to_wall
                facing_a = to_wall == to_a
                face = (0 if da > 0 else 1) if facing_a else (2 if db > 0 else 3)
                along = b if facing_a else a
                normal = (-lamp_a if da > 0 else lamp_a) if facing_a else (-lamp_b if db > 0 else lamp_b)
                corner = 1 - 0.18 * _near(half - abs(along), 0.5) - 0.15 * _near(y, 0.4)
                strength = corner * (ambient + diffuse * (0.5 + 0.35 * normal))
                _sample_within(
                    walls[face], (along + half) / (2 * half) * (columns - 1),
                    (1 - y / room_height) * (rows - 1), strength, picture, row, column,
                )  # fmt: skip
                depth[row, column], surface[row, column] = to_wall, WALL


@kernel
def trace_outdoors(  # type: ignore[no-untyped-def]
    picture, depth, surface, rotation, eye, focal, ground, period, panorama, haze, lamp, ambient, diffuse
):
    """Draw ground that fades into haze, and the panorama above the horizon."""
    size = depth.shape[0]
    rows, columns = panorama.shape[:2]
    strength = ambient + diffuse * lamp[1] * 0.85
    for row in range(size):
        for column in range(size):
            dx, dy, dz = _ray(rotation, focal, size, column, row)
            length = np.sqrt(dx * dx + dy * dy + dz * dz)
            if dy < -1e-4:
                away = -eye[1] / dy
                footprint = away * length / focal * np.sqrt(length / -dy)
                _floor(
                    picture, row, column, ground, period, eye[0] + dx * away, eye[2] + dz * away,
                    footprint, strength,
                )  # fmt: skip
                fog = 0.85 * away / (away + 30)
                for channel in range(3):
                    picture[row, column, channel] += fog * (haze[channel] - picture[row, column, channel])
                depth[row, column], surface[row, column] = min(away, FAR), FLOOR
            else:
                x = np.arctan2(dz, dx) / (2 * np.pi) * columns
                y = (1 - np.arcsin(min(dy / length, 1.0)) / (np.pi / 4)) * (rows - 1)
                _sample_periodic(panorama, x, min(max(y, 0.0), rows - 1.001), 1.0, picture, row, column)
                depth[row, column], surface[row, column] = FAR, SKY


@kernel
def draw_boxes(  # type: ignore[no-untyped-def]
    picture, depth, surface, rotation, eye, focal, chosen, bounds, centres, halves, turns, colours,
    lamp, ambient, diffuse,
):  # fmt: skip
    """Draw the ``chosen`` boxes where they are nearer than what is already in the picture.

    Args:
        bounds: (N, 4) left, right, top, bottom px between which a box can be seen.
    """
    size = depth.shape[0]
    entry_point, travel = np.zeros(3), np.zeros(3)
    for i in chosen:
        cos, sin = np.cos(turns[i]), np.sin(turns[i])
        fx, fy, fz = eye - centres[i]
        # World to box: the inverse of a yaw.
        entry_point[0], entry_point[1], entry_point[2] = fx * cos - fz * sin, fy, fx * sin + fz * cos
        for row in range(bounds[i, 2], bounds[i, 3] + 1):
            for column in range(bounds[i, 0], bounds[i, 1] + 1):
                dx, dy, dz = _ray(rotation, focal, size, column, row)
                travel[0], travel[1], travel[2] = dx * cos - dz * sin, dy, dx * sin + dz * cos
                enter, leave, axis = 0.0, FAR, -1
                for k in range(3):
                    if abs(travel[k]) < 1e-12:
                        if abs(entry_point[k]) > halves[i, k]:
                            leave = -1.0
                        continue
                    first = (-halves[i, k] - entry_point[k]) / travel[k]
                    last = (halves[i, k] - entry_point[k]) / travel[k]
                    if min(first, last) > enter:
                        enter, axis = min(first, last), k
                    leave = min(leave, max(first, last))
                if axis < 0 or enter >= leave or enter >= depth[row, column]:
                    continue
                sign = -1.0 if travel[axis] > 0 else 1.0
                facing = lamp[1] * sign
                if axis == 0:
                    facing = (lamp[0] * cos - lamp[2] * sin) * sign
                elif axis == 2:
                    facing = (lamp[0] * sin + lamp[2] * cos) * sign
                y = eye[1] + dy * enter
                dirt = 1 - 0.25 * _near(y, 0.2)
                strength = dirt * (ambient * (0.9 if axis == 1 else 0.8) + diffuse * max(facing, 0.0))
                for channel in range(3):
                    picture[row, column, channel] = colours[i, channel] * strength
                depth[row, column], surface[row, column] = enter, BOX + i


@kernel
def background_flow(  # type: ignore[no-untyped-def]
    flow, depth, surface, rotation, eye, focal, rotation_next, eye_next, focal_next, steps
):
    """Motion (H, W, 2), px, of the surface at every pixel until the next frame.

    Args:
        steps: (N, 3) how far every box moves, m. Shadows have no motion of their own: floor is floor.
    """
    size = depth.shape[0]
    centre = (size - 1) / 2
    for row in range(size):
        for column in range(size):
            dx, dy, dz = _ray(rotation, focal, size, column, row)
            t = depth[row, column]
            x, y, z = (
                eye[0] + t * dx - eye_next[0],
                eye[1] + t * dy - eye_next[1],
                eye[2] + t * dz - eye_next[2],
            )
            box = surface[row, column] - BOX
            if box >= 0:
                x, y, z = x + steps[box, 0], y + steps[box, 1], z + steps[box, 2]
            seen_x = rotation_next[0, 0] * x + rotation_next[0, 1] * y + rotation_next[0, 2] * z
            seen_y = rotation_next[1, 0] * x + rotation_next[1, 1] * y + rotation_next[1, 2] * z
            seen_z = rotation_next[2, 0] * x + rotation_next[2, 1] * y + rotation_next[2, 2] * z
            flow[row, column, 0] = focal_next * seen_x / seen_z + centre - column
            flow[row, column, 1] = focal_next * seen_y / seen_z + centre - row


@kernel
def cast_shadow(picture, surface, shadow, strength):  # type: ignore[no-untyped-def]
    """Darken the floor by ``strength`` where ``shadow`` (H, W) is 1."""
    height, width = surface.shape
    for row in range(height):
        for column in range(width):
            if surface[row, column] == FLOOR and shadow[row, column] > 0:
                for channel in range(3):
                    picture[row, column, channel] *= 1 - strength * shadow[row, column]


@kernel
def develop(picture, tint):  # type: ignore[no-untyped-def]
    """(H, W, 3) light -> uint8 in the colour of the lamp."""
    height, width = picture.shape[:2]
    result = np.empty((height, width, 3), np.uint8)
    for row in range(height):
        for column in range(width):
            for channel in range(3):
                value = picture[row, column, channel] * tint[channel]
                result[row, column, channel] = np.uint8(255 * min(max(value, 0.0), 1.0) + 0.5)
    return result
