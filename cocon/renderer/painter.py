"""Draw one frame: background, furniture, shadows, persons; and keep the data for the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from cocon.renderer import background, raster
from cocon.renderer.camera import Camera
from cocon.renderer.outfit import ROUGHNESS, Figure
from cocon.renderer.scene import GROUND_PERIOD, Cuboids, Scene

_HAIR_THICKNESS = 0.012
_BOX_CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
_BOX_FACES = np.array(
    [
        [0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
        [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3],
    ],
    np.int32,
)  # fmt: skip


def _corners(boxes: Cuboids) -> np.ndarray:
    """(N, 8, 3) corners at time 0."""
    x, y, z = np.moveaxis(boxes.halves[:, None] * _BOX_CORNERS, -1, 0)
    cos, sin = np.cos(boxes.turns)[:, None], np.sin(boxes.turns)[:, None]
    result: np.ndarray = boxes.centres[:, None] + np.stack([x * cos + z * sin, y, z * cos - x * sin], -1)
    return result


@dataclass(frozen=True)
class Drawn:
    """One person in a frame.

    Attributes:
        coverage: (H, W) float32, part of every pixel that shows the person.
        nearest: (2H, 2W) 1 / depth of the person's surface at every sample, whether something hides it or
            not; 0 where the person is not.
        index: (2H, 2W) visible triangle of the person at every sample, or -1.
        points: (V, 3) the person's vertices in samples.
    """

    coverage: np.ndarray
    nearest: np.ndarray
    index: np.ndarray
    points: np.ndarray


@dataclass(frozen=True)
class Frame:
    """One drawn frame.

    Attributes:
        picture: (H, W, 3) uint8.
        depth: (H, W) of the background, m along the optical axis; surface: (H, W) its kind.
        persons: one after the other.
    """

    picture: np.ndarray
    depth: np.ndarray
    surface: np.ndarray
    persons: tuple[Drawn, ...]


@dataclass(frozen=True)
class Surface:
    """The person's surface at one instant: (V, 3) vertices in the world, m, and unit normals."""

    vertices: np.ndarray
    normals: np.ndarray


class Painter:
    """Draws the frames of one clip.

    Args:
        figures: the dressed persons.
        scene: where it happens.
        size: of the picture, px.
    """

    def __init__(self, figures: Sequence[Figure], scene: Scene, size: int) -> None:
        self.figures = figures
        self.scene = scene
        self.size = size
        self._still = scene.boxes.velocities.any(1) == 0
        self._first_corners = _corners(scene.boxes)
        self._empty: tuple[Camera, tuple[np.ndarray, ...]] | None = None

    def surface(self, figure: Figure, maps: np.ndarray) -> Surface:
        """A person for the affine maps (B, 3, 4) of the bones; hair is thickened."""
        vertices = raster.skin(figure.vertices, figure.weight_bones, figure.weights, maps)
        normals = raster.vertex_normals(vertices, figure.faces)
        return Surface(vertices + _HAIR_THICKNESS * figure.scalp[:, None] * normals, normals)

    def points(self, camera: Camera, person: Surface) -> np.ndarray:
        """(V, 3) vertices in samples."""
        return camera.scaled(self.size * raster.SAMPLES).project(person.vertices)

    def draw(self, camera: Camera, persons: Sequence[Surface], seconds: float) -> Frame:
        """Draw the persons, in the order of the figures, at a time of the clip."""
        picture, depth, surface = (layer.copy() for layer in self._without_what_moves(camera))
        self._draw_boxes(picture, depth, surface, camera, np.flatnonzero(~self._still), seconds)
        shadow = self._shadow(camera, persons, seconds)
        background.cast_shadow(picture, surface, shadow, self.scene.light.shadow)
        drawn = [
            self._raster(figure, camera, person, depth)
            for figure, person in zip(self.figures, persons, strict=True)
        ]
        front = np.argmax([one.nearest for one in drawn], axis=0)
        for number, (figure, person, one) in enumerate(zip(self.figures, persons, drawn, strict=True)):
            one.index[front != number] = -1
            self._shade(picture, figure, one, person, camera)
        developed = background.develop(picture, self.scene.light.tint)
        return Frame(developed, depth, surface, tuple(drawn))

    def _raster(self, figure: Figure, camera: Camera, person: Surface, depth: np.ndarray) -> Drawn:
        """Find the samples of a person that the background does not hide; nothing is painted yet."""
        points = self.points(camera, person)
        samples = self.size * raster.SAMPLES
        nearest, index = np.zeros((samples, samples)), np.full((samples, samples), -1, np.int32)
        raster.rasterise(points, figure.faces, 1, nearest, index)
        raster.hide_behind(depth, nearest, index)
        return Drawn(np.zeros((self.size, self.size), np.float32), nearest, index, points)

    def _shade(
        self,
        picture: np.ndarray,
        figure: Figure,
        drawn: Drawn,
        person: Surface,
        camera: Camera,
    ) -> None:
        light = self.scene.light
        raster.shade(
            picture, drawn.coverage, drawn.index, drawn.points, figure.faces, person.vertices,
            person.normals, figure.template, figure.iris, figure.materials,
            figure.colours, figure.shirt_second, ROUGHNESS, figure.pattern, figure.pattern_scale,
            camera.eye, light.direction, light.ambient, light.diffuse,
        )  # fmt: skip

    def _without_what_moves(self, camera: Camera) -> tuple[np.ndarray, ...]:
        """Picture, depth and surface of all that stands still; drawn once if the camera is static."""
        if self._empty is None or self._empty[0] is not camera:
            size, scene, light = self.size, self.scene, self.scene.light
            picture = np.empty((size, size, 3), np.float32)
            depth, surface = np.empty((size, size)), np.empty((size, size), np.int32)
            view = (picture, depth, surface, camera.rotation, camera.eye, camera.focal)
            lamp = (light.direction, light.ambient, light.diffuse)
            if scene.outdoors:
                background.trace_outdoors(
                    *view, scene.ground, GROUND_PERIOD, scene.panorama, scene.haze, *lamp
                )
            else:
                background.trace_room(
                    *view, scene.ground, GROUND_PERIOD, scene.walls, scene.centre, scene.half, scene.height,
                    scene.turn, scene.ceiling, *lamp,
                )  # fmt: skip
            self._draw_boxes(picture, depth, surface, camera, np.flatnonzero(self._still), 0.0)
            self._empty = camera, (picture, depth, surface)
        return self._empty[1]

    def _corners(self, seconds: float) -> np.ndarray:
        """(N, 8, 3) corners of the boxes."""
        return self._first_corners + (self.scene.boxes.velocities * seconds)[:, None]

    def _draw_boxes(
        self,
        picture: np.ndarray,
        depth: np.ndarray,
        surface: np.ndarray,
        camera: Camera,
        chosen: np.ndarray,
        seconds: float,
    ) -> None:
        if not len(chosen):
            return
        boxes, light = self.scene.boxes, self.scene.light
        corners = camera.project(self._corners(seconds))
        # A box that reaches behind the camera may be anywhere in the picture.
        partly = (corners[..., 2] == 0).any(1)[:, None]
        low = np.where(partly, 0, np.floor(corners[..., :2].min(1))).clip(0, self.size)
        high = np.where(partly, self.size, np.ceil(corners[..., :2].max(1))).clip(-1, self.size - 1)
        bounds = np.stack([low[:, 0], high[:, 0], low[:, 1], high[:, 1]], 1).astype(np.int64)
        background.draw_boxes(
            picture, depth, surface, camera.rotation, camera.eye, camera.focal, chosen, bounds,
            boxes.at(seconds), boxes.halves, boxes.turns, boxes.colours,
            light.direction, light.ambient, light.diffuse,
        )  # fmt: skip

    def _shadow(self, camera: Camera, persons: Sequence[Surface], seconds: float) -> np.ndarray:
        """(H, W) in [0, 1] of the shadows of persons and furniture on the floor, with soft edges."""
        size = self.size // 2
        small = camera.scaled(size)
        index = np.full((size, size), -1, np.int32)
        corners = self._corners(seconds).reshape(-1, 3)
        faces = (np.arange(len(corners) // 8)[:, None, None] * 8 + _BOX_FACES).reshape(-1, 3)
        lamp = self.scene.light.direction
        # Every second triangle of a person is enough for a blurred shadow.
        of_persons = [(p.vertices, f.faces, 2) for f, p in zip(self.figures, persons, strict=True)]
        for points, triangles, step in (*of_persons, (corners, faces, 1)):
            fallen = points - lamp * (points[:, 1:2] / lamp[1])
            if len(fallen):
                nearest = np.zeros((size, size))
                raster.rasterise(small.project(fallen), triangles.astype(np.int32), step, nearest, index)
        shadow = cv2.dilate((index >= 0).astype(np.float32), np.ones((2, 2), np.uint8))
        shadow = cv2.GaussianBlur(shadow, (0, 0), self.scene.light.softness * self.size / 320)
        return cv2.resize(shadow, (self.size, self.size), interpolation=cv2.INTER_LINEAR)
