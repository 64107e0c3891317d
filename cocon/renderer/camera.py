"""A pinhole camera and how it films a moving person.

Pixel coordinates are those of OpenCV: the centre of the top left pixel is (0, 0).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from cocon.renderer.liveliness import smooth_noise
from cocon.renderer.rotations import unit

NEAR = 0.05
"""Depth in front of the camera, m, below which nothing is drawn."""


@dataclass(frozen=True)
class Camera:
    """A camera at one instant.

    Attributes:
        rotation: (3, 3), rows are the camera's right, down and forward axes in the world.
        eye: (3,) its position, m.
        focal: focal length, px.
        size: width and height of the picture, px.
    """

    rotation: np.ndarray
    eye: np.ndarray
    focal: float
    size: int

    @classmethod
    def looking_at(cls, eye: np.ndarray, target: np.ndarray, field_of_view: float, size: int) -> Camera:
        """An upright camera.

        Args:
            eye, target: (3,) world points, not above one another.
            field_of_view: across the picture, radians.
            size: px.
        """
        forward = unit(np.asarray(target, float) - eye)
        x, y, z = forward
        level = np.hypot(x, z)
        right = np.array([-z, 0, x]) / level
        down = np.array([x * y, -(level**2), y * z]) / level
        rotation = np.stack([right, down, forward])
        return cls(rotation, np.asarray(eye, float), size / 2 / np.tan(field_of_view / 2), size)

    def project(self, points: np.ndarray) -> np.ndarray:
        """World points (..., 3) -> (..., 3) of pixel x, pixel y and 1 / depth (0 when not in front)."""
        seen: np.ndarray = points @ self.rotation.T - self.rotation @ self.eye
        in_front = seen[..., 2] > NEAR
        inverse = in_front / np.where(in_front, seen[..., 2], 1)
        seen *= (self.focal * inverse)[..., None]
        seen += (self.size - 1) / 2
        seen[..., 2] = inverse
        return seen

    def scaled(self, size: int) -> Camera:
        """The same camera with another number of pixels."""
        return Camera(self.rotation, self.eye, self.focal * size / self.size, size)


@dataclass(frozen=True)
class Filming:
    """How a clip is filmed; drawn without regard to the action.

    Attributes:
        static: the camera stands still; otherwise it follows the person, drifts and shakes a little.
        azimuth, elevation: of the camera as seen from the person, radians.
        orbit: change of the azimuth over the clip, radians.
        field_of_view: radians.
        fill: height of the standing person as a part of the picture's height.
        offset, drift: (3,) of the point looked at, from the person and over the clip, m.
    """

    static: bool
    azimuth: float
    elevation: float
    orbit: float
    field_of_view: float
    fill: float
    offset: np.ndarray
    drift: np.ndarray

    @classmethod
    def random(cls, rng: np.random.Generator) -> Filming:
        """Draw a way of filming; half of them from a tripod."""
        static = bool(rng.random() < 0.5)
        return cls(
            static=static,
            azimuth=rng.uniform(0, 2 * np.pi),
            elevation=rng.uniform(-0.03, 0.3),
            orbit=rng.normal(0, 0.15),
            field_of_view=np.radians(rng.uniform(32, 52)),
            fill=rng.uniform(0.56, 0.68) if static else rng.uniform(0.64, 0.76),
            offset=rng.normal(0, 0.05, 3),
            drift=rng.normal(0, 0.1, 3),
        )

    def room_to_move(self, height: float) -> float:
        """Radius, m, around its middle within which a person of ``height`` m may move."""
        return max(0.5 * height / self.fill - 0.55, 0.75) if self.static else 2.6

    def distance(self, height: float) -> float:
        """From the camera to the person, m."""
        result: float = height / self.fill / (2 * np.tan(self.field_of_view / 2))
        return result

    def cameras(
        self, root: np.ndarray, height: float, size: int, seconds: np.ndarray, rng: np.random.Generator
    ) -> list[Camera]:
        """One camera per frame; a camera on a tripod is the same object in all frames.

        Args:
            root: (T, 3) position of the pelvis.
            height: of the person, m.
            size: of the picture, px.
            seconds: (T,) times of the frames.
            rng: for the shake of the hand.
        """
        middle = (root.min(0) + root.max(0)) / 2
        frames = len(root)
        step = seconds[1] - seconds[0] if frames > 1 else 1.0
        followed = gaussian_filter1d(root, 0.4 / step, axis=0, mode="nearest")
        followed = np.where([self.static], middle, followed) * [1, 0, 1] + [0, 0.53 * height, 0]
        moving = 0.0 if self.static else 1.0
        part = np.linspace(-0.5, 0.5, frames)[:, None] * moving
        shake = 0.012 * smooth_noise(rng, seconds, 3, 2.0) * moving
        targets = followed + self.offset + self.drift * part + shake
        angle = self.azimuth + self.orbit * part[:, 0]
        flat = np.cos(self.elevation)
        towards = np.stack(
            [np.cos(angle) * flat, np.full(frames, np.sin(self.elevation)), np.sin(angle) * flat], 1
        )
        eyes = targets + self.distance(height) * towards
        eyes[:, 1] = np.clip(eyes[:, 1], 0.3, 2.4)  # between floor and ceiling
        if self.static:
            return [Camera.looking_at(eyes[0], targets[0], self.field_of_view, size)] * frames
        return [
            Camera.looking_at(eye, target, self.field_of_view, size)
            for eye, target in zip(eyes, targets, strict=True)
        ]
