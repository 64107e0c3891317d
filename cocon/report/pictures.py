"""Small pictures for the page: frames of every view, as data URIs."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence

import numpy as np

from cocon.tracks import Tracks
from cocon.views import VIEWS

Colour = tuple[int, int, int]

TRUNK = ((5, 6), (11, 12), (5, 11), (6, 12))
LIMBS = (
    *((0, 1), (0, 2), (1, 3), (2, 4)),
    *((5, 7), (7, 9), (11, 13), (13, 15)),
    *((6, 8), (8, 10), (12, 14), (14, 16)),
)
"""Pairs of COCO keypoints that are joined by a line: the trunk, and the head, arms and legs."""

_CENTRE, _LEFT, _RIGHT, _OUTLINE = (250, 250, 250), (51, 187, 238), (238, 119, 51), (20, 20, 20)
PERSONS = (
    *((255, 190, 30), (70, 170, 255), (240, 80, 170)),
    *((90, 210, 90), (175, 130, 255), (255, 120, 60)),
)
"""Colours of persons, where there are several; those beyond begin again with the first."""
_AROUND = 0.02
"""Between the joints and the box around a person, as a fraction of the frame."""
SEEN = 0.3
"""Keypoints with a lower score are not drawn."""


def fit(image_HWC: np.ndarray, height: int) -> np.ndarray:
    """Scale a picture to ``height`` pixels, keeping its proportions; ``uint8`` (height, W, C)."""
    import cv2

    width = max(1, round(image_HWC.shape[1] * height / image_HWC.shape[0]))
    return resize(
        image_HWC, height, width, cv2.INTER_AREA if height < image_HWC.shape[0] else cv2.INTER_CUBIC
    )


def resize(image_HWC: np.ndarray, height: int, width: int, interpolation: int) -> np.ndarray:
    """OpenCV's resize that keeps the axis of a single channel."""
    import cv2

    scaled = cv2.resize(np.ascontiguousarray(image_HWC), (width, height), interpolation=interpolation)
    return scaled.reshape(height, width, image_HWC.shape[2])


def grey_to_rgb(image_HWC: np.ndarray) -> np.ndarray:
    """Three equal channels: the mean of all."""
    if image_HWC.shape[2] > 1:
        image_HWC = image_HWC.mean(axis=2, keepdims=True).round().astype(np.uint8)
    return np.repeat(image_HWC, 3, axis=2)


def shown_by(views: Iterable[str]) -> str | None:
    """The view that single frames of a video are shown by; None if no view is a plain picture."""
    kinds = ("photograph", "silhouette", "grey")
    candidates = [view for view in views if VIEWS[view].content in kinds]
    return min(candidates, key=lambda view: kinds.index(VIEWS[view].content), default=None)


def numbers_of_persons(persons: Sequence[np.ndarray]) -> list[np.ndarray] | None:
    """A number for each person of a video, kept from frame to frame; see :class:`cocon.tracks.Tracks`.

    Args:
        persons: those of each frame, (persons, 17, 3).

    Returns:
        The numbers of each frame's persons; None if no frame has more than one.
    """
    if all(len(persons_PJ3) <= 1 for persons_PJ3 in persons):
        return None
    tracks = Tracks()
    points = [np.asarray(persons_PJ3, float)[:, :, :2] for persons_PJ3 in persons]
    return [
        tracks.follow(np.concatenate([xy_PJ2.min(axis=1) - _AROUND, xy_PJ2.max(axis=1) + _AROUND], axis=1))
        for xy_PJ2 in points
    ]


def draw_skeleton(
    image_HW3: np.ndarray, persons_PJ3: np.ndarray, numbers_P: np.ndarray | None = None
) -> np.ndarray:
    """Draw persons over a picture.

    Args:
        image_HW3: ``uint8`` rgb.
        persons_PJ3: (persons, 17, 3), x and y as fractions of width and height, score in [0, 1].
        numbers_P: of the persons; each number has a colour. None: colours distinguish the sides.

    Returns:
        A new picture; limbs of the left side are blue, of the right side orange, the trunk is white. With
        numbers, the left side has a lighter shade of the person's colour.
    """
    import cv2

    canvas = np.ascontiguousarray(image_HW3).copy()
    height, width = canvas.shape[:2]
    thin = max(1, round(height / 110))
    scale = np.array([width, height], np.float32)
    shift = 3  # OpenCV takes fixed-point coordinates with this many fractional bits
    for index, person_J3 in enumerate(np.asarray(persons_PJ3, np.float32)):
        middle, left, right = _colours(
            None if numbers_P is None else PERSONS[numbers_P[index] % len(PERSONS)]
        )
        at = [tuple(int(c) for c in np.round((xy * scale - 0.5) * 2**shift)) for xy in person_J3[:, :2]]
        seen = person_J3[:, 2] >= SEEN
        lines = [(a, b, middle) for a, b in TRUNK]
        lines += [(a, b, left if b % 2 else right) for a, b in LIMBS]
        lines = [line for line in lines if seen[line[0]] and seen[line[1]]]
        for a, b, _ in lines:
            cv2.line(canvas, at[a], at[b], _OUTLINE, 3 * thin, cv2.LINE_AA, shift)
        for a, b, colour in lines:
            cv2.line(canvas, at[a], at[b], colour, thin + 1, cv2.LINE_AA, shift)
        for joint in np.flatnonzero(seen).tolist():
            cv2.circle(canvas, at[joint], (2 * thin) << shift, _OUTLINE, -1, cv2.LINE_AA, shift)
            colour = middle if joint == 0 else left if joint % 2 else right
            cv2.circle(canvas, at[joint], (thin << shift) + 4, colour, -1, cv2.LINE_AA, shift)
    return canvas


def _colours(person: Colour | None) -> tuple[Colour, Colour, Colour]:
    """Of the trunk, the left side and the right side."""
    if person is None:
        return _CENTRE, _LEFT, _RIGHT
    red, green, blue = ((channel + 255) // 2 for channel in person)
    return person, (red, green, blue), person


def jpeg_uri(image_HW3: np.ndarray, quality: int = 82) -> str:
    """An rgb picture as a JPEG data URI."""
    import cv2

    return _uri(".jpg", "image/jpeg", image_HW3[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])


def png_uri(image_HW4: np.ndarray) -> str:
    """An rgb picture with opacity as a PNG data URI."""
    return _uri(".png", "image/png", image_HW4[..., [2, 1, 0, 3]], [])


def _uri(suffix: str, kind: str, image: np.ndarray, options: list[int]) -> str:
    import cv2

    ok, data = cv2.imencode(suffix, np.ascontiguousarray(image), options)
    assert ok, f"OpenCV cannot write {suffix}"
    return f"data:{kind};base64,{base64.b64encode(data.tobytes()).decode('ascii')}"
