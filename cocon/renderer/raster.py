"""Compiled loops that pose and draw the person. See ``background`` for everything else.

The person is drawn with ``SAMPLES`` x ``SAMPLES`` samples per pixel. Sample coordinates are those of a
picture that many times as large, with the centre of the top left sample at (0, 0).
"""

from __future__ import annotations

import numpy as np
from numba import njit

kernel = njit(cache=True, error_model="numpy")
SAMPLES = 2
_SHIRT, _EYES = 4, 7  # values of outfit.Material, as constants for the compiler


@kernel
def skin(vertices, bones, weights, maps):  # type: ignore[no-untyped-def]
    """Linear blend skinning: (V, 3), (V, 4), (V, 4), (B, 3, 4) -> (V, 3)."""
    result = np.zeros_like(vertices)
    for i in range(len(vertices)):
        for k in range(4):
            weight = weights[i, k]
            if weight == 0:
                continue
            m = maps[bones[i, k]]
            for axis in range(3):
                result[i, axis] += weight * (
                    m[axis, 0] * vertices[i, 0]
                    + m[axis, 1] * vertices[i, 1]
                    + m[axis, 2] * vertices[i, 2]
                    + m[axis, 3]
                )
    return result


@kernel
def vertex_normals(vertices, faces):  # type: ignore[no-untyped-def]
    """(V, 3) unit normals, the mean over a vertex's triangles weighted by their area."""
    normals = np.zeros_like(vertices)
    for t in range(len(faces)):
        a, b, c = faces[t, 0], faces[t, 1], faces[t, 2]
        ux, wx = vertices[b, 0] - vertices[a, 0], vertices[c, 0] - vertices[a, 0]
        uy, wy = vertices[b, 1] - vertices[a, 1], vertices[c, 1] - vertices[a, 1]
        uz, wz = vertices[b, 2] - vertices[a, 2], vertices[c, 2] - vertices[a, 2]
        x, y, z = uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx
        for k in (a, b, c):
            normals[k, 0] += x
            normals[k, 1] += y
            normals[k, 2] += z
    for i in range(len(normals)):
        x, y, z = normals[i, 0], normals[i, 1], normals[i, 2]
        length = np.sqrt(x * x + y * y + z * z) + 1e-12
        normals[i, 0], normals[i, 1], normals[i, 2] = x / length, y / length, z / length
    return normals


@kernel
def rasterise(points, faces, step, nearest, index):  # type: ignore[no-untyped-def]
    """Find the nearest triangle at every sample.

    Args:
        points: (V, 3) x, y, 1 / depth in samples.
        faces: (F, 3); only every ``step``-th is drawn.
        step: 1 for a picture, 2 for a shadow.
        nearest: (H, W) 1 / depth so far, changed in place.
        index: (H, W) triangle so far, changed in place.
    """
    height, width = index.shape
    for t in range(0, len(faces), step):
        a, b, c = faces[t, 0], faces[t, 1], faces[t, 2]
        if points[a, 2] <= 0 or points[b, 2] <= 0 or points[c, 2] <= 0:
            continue
        x0, y0, x1, y1, x2, y2 = (
            points[a, 0], points[a, 1], points[b, 0], points[b, 1], points[c, 0], points[c, 1],
        )  # fmt: skip
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if abs(area) < 1e-9:
            continue
        left = max(0, int(np.ceil(min(x0, x1, x2) - 1e-6)))
        right = min(width - 1, int(np.floor(max(x0, x1, x2) + 1e-6)))
        if left > right:
            continue
        top = max(0, int(np.ceil(min(y0, y1, y2) - 1e-6)))
        bottom = min(height - 1, int(np.floor(max(y0, y1, y2) + 1e-6)))
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                w1 = ((x - x0) * (y2 - y0) - (x2 - x0) * (y - y0)) / area
                w2 = ((x1 - x0) * (y - y0) - (x - x0) * (y1 - y0)) / area
                w0 = 1 - w1 - w2
                if w0 < -1e-6 or w1 < -1e-6 or w2 < -1e-6:
                    continue
                depth = w0 * points[a, 2] + w1 * points[b, 2] + w2 * points[c, 2]
                if depth > nearest[y, x]:
                    nearest[y, x] = depth
                    index[y, x] = t


@kernel
def hide_behind(depth, nearest, index):  # type: ignore[no-untyped-def]
    """Remove samples of the person that lie behind the background's ``depth`` (H, W), m."""
    height, width = index.shape
    for y in range(height):
        for x in range(width):
            if index[y, x] >= 0 and nearest[y, x] * depth[y // SAMPLES, x // SAMPLES] < 1:
                index[y, x] = -1


@kernel
def _barycentric(points, a, b, c, x, y):  # type: ignore[no-untyped-def]
    x0, y0, x1, y1, x2, y2 = (
        points[a, 0], points[a, 1], points[b, 0], points[b, 1], points[c, 0], points[c, 1],
    )  # fmt: skip
    area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
    w1 = ((x - x0) * (y2 - y0) - (x2 - x0) * (y - y0)) / area
    w2 = ((x1 - x0) * (y - y0) - (x - x0) * (y1 - y0)) / area
    return 1 - w1 - w2, w1, w2


@kernel
def _blend(values, a, b, c, w0, w1, w2):  # type: ignore[no-untyped-def]
    return (
        w0 * values[a, 0] + w1 * values[b, 0] + w2 * values[c, 0],
        w0 * values[a, 1] + w1 * values[b, 1] + w2 * values[c, 1],
        w0 * values[a, 2] + w1 * values[b, 2] + w2 * values[c, 2],
    )


@kernel
def _second_colour(pattern, scale, forward, up, aside):  # type: ignore[no-untyped-def]
    """Whether a place on the shirt (decimetres in the template) has the pattern's second colour."""
    if pattern == 1:
        return int(np.floor(up * scale * 2)) % 2 == 1
    if pattern == 2:
        return int(np.floor(aside * scale * 2)) % 2 == 1
    if pattern == 3:
        return (int(np.floor(aside * scale * 1.5)) + int(np.floor(up * scale * 1.5))) % 2 == 1
    if pattern == 4:
        return (
            np.sin(5 * aside * scale + 3 * np.sin(4 * up * scale))
            * np.sin(4 * up * scale + 2 * np.sin(3 * aside * scale + 5 * forward * scale))
            > 0
        )
    if pattern == 5:
        return aside * aside + (up - 4) * (up - 4) < 0.9
    return False


@kernel
def shade(  # type: ignore[no-untyped-def]
    picture, coverage, index, points, faces, vertices, normals, template, iris, materials,
    colours, second, roughness, pattern, scale, eye, lamp, ambient, diffuse,
):  # fmt: skip
    """Blend the person into ``picture`` (H, W, 3) and write the part of each pixel that shows them.

    Diffuse light, brighter from above, with a little gloss; ``coverage`` is (H, W) in [0, 1].
    """
    height, width = coverage.shape
    part = 1.0 / (SAMPLES * SAMPLES)
    for row in range(height):
        for column in range(width):
            red, green, blue, count = 0.0, 0.0, 0.0, 0
            for sample in range(SAMPLES * SAMPLES):
                y, x = row * SAMPLES + sample // SAMPLES, column * SAMPLES + sample % SAMPLES
                t = index[y, x]
                if t < 0:
                    continue
                count += 1
                a, b, c = faces[t, 0], faces[t, 1], faces[t, 2]
                w0, w1, w2 = _barycentric(points, a, b, c, x, y)
                nx, ny, nz = _blend(normals, a, b, c, w0, w1, w2)
                px, py, pz = _blend(vertices, a, b, c, w0, w1, w2)
                length = np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9
                nx, ny, nz = nx / length, ny / length, nz / length
                ex, ey, ez = eye[0] - px, eye[1] - py, eye[2] - pz
                length = np.sqrt(ex * ex + ey * ey + ez * ez)
                ex, ey, ez = ex / length, ey / length, ez / length
                facing = nx * ex + ny * ey + nz * ez
                if facing < 0:
                    nx, ny, nz, facing = -nx, -ny, -nz, -facing
                fx, fy, fz = _blend(template, a, b, c, w0, w1, w2)
                fx, fy, fz = 10 * fx, 10 * fy, 10 * fz
                m = materials[t]
                fine = np.sin(9.1 * fz + 7 * np.sin(5.3 * fy) + 3 * fx) * np.sin(
                    8.3 * fy + 5 * np.sin(6.1 * fx)
                )
                tone = 1 + roughness[m] * fine
                if m == _EYES and w0 * iris[a] + w1 * iris[b] + w2 * iris[c] > 0.5:
                    tone = 0.12
                lit = max(0.0, 0.85 * (nx * lamp[0] + ny * lamp[1] + nz * lamp[2]) + 0.15)
                strength = 1.2 * (ambient * (0.75 + 0.25 * ny) + diffuse * lit) * tone
                hx, hy, hz = lamp[0] + ex, lamp[1] + ey, lamp[2] + ez
                length = np.sqrt(hx * hx + hy * hy + hz * hz) + 1e-9
                gloss = 0.06 * max(0.0, (nx * hx + ny * hy + nz * hz) / length) ** 24
                gloss += 0.05 * (1 - min(1.0, facing)) ** 3
                colour = colours[m]
                if m == _SHIRT and _second_colour(pattern, scale, fx, fy, fz):
                    colour = second
                red += min(1.0, colour[0] * strength + gloss)
                green += min(1.0, colour[1] * strength + gloss)
                blue += min(1.0, colour[2] * strength + gloss)
            if count:
                rest = 1 - count * part
                picture[row, column, 0] = picture[row, column, 0] * rest + red * part
                picture[row, column, 1] = picture[row, column, 1] * rest + green * part
                picture[row, column, 2] = picture[row, column, 2] * rest + blue * part
                coverage[row, column] = count * part


@kernel
def surface_flow(flow, index, faces, points, points_next):  # type: ignore[no-untyped-def]
    """Write the motion of the person's surface into ``flow`` (H, W, 2), px, where the person is.

    Every sample's place on its triangle is found again in the next frame; a pixel gets the mean of its
    samples if at least half of them show the person.
    """
    height, width = flow.shape[:2]
    for row in range(height):
        for column in range(width):
            right, down, count = 0.0, 0.0, 0
            for sample in range(SAMPLES * SAMPLES):
                y, x = row * SAMPLES + sample // SAMPLES, column * SAMPLES + sample % SAMPLES
                t = index[y, x]
                if t < 0:
                    continue
                a, b, c = faces[t, 0], faces[t, 1], faces[t, 2]
                w0, w1, w2 = _barycentric(points, a, b, c, x, y)
                right += w0 * points_next[a, 0] + w1 * points_next[b, 0] + w2 * points_next[c, 0] - x
                down += w0 * points_next[a, 1] + w1 * points_next[b, 1] + w2 * points_next[c, 1] - y
                count += 1
            if 2 * count >= SAMPLES * SAMPLES:
                flow[row, column, 0] = right / count / SAMPLES
                flow[row, column, 1] = down / count / SAMPLES
