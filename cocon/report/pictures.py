"""Small pictures for the page: frames of every view, as data URIs."""

from __future__ import annotations

import base64

import numpy as np

TRUNK = ((5, 6), (11, 12), (5, 11), (6, 12))
LIMBS = (
    *((0, 1), (0, 2), (1, 3), (2, 4)),
    *((5, 7), (7, 9), (11, 13), (13, 15)),
    *((6, 8), (8, 10), (12, 14), (14, 16)),
)
"""Pairs of COCO keypoints that are joined by a line: the trunk, and the head, arms and legs."""

_CENTRE, _LEFT, _RIGHT, _OUTLINE = (250, 250, 250), (51, 187, 238), (238, 119, 51), (20, 20, 20)
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


def grey_to_rgb(image_HW1: np.ndarray) -> np.ndarray:
    """One channel to three equal ones."""
    return np.repeat(image_HW1, 3, axis=2)


def draw_skeleton(image_HW3: np.ndarray, persons_PJ3: np.ndarray) -> np.ndarray:
    """Draw persons over a picture.

    Args:
        image_HW3: ``uint8`` rgb.
        persons_PJ3: (persons, 17, 3), x and y as fractions of width and height, score in [0, 1].

    Returns:
        A new picture; limbs of the left side are blue, of the right side orange, the trunk is white.
    """
    import cv2

    canvas = np.ascontiguousarray(image_HW3).copy()
    height, width = canvas.shape[:2]
    thin = max(1, round(height / 110))
    scale = np.array([width, height], np.float32)
    shift = 3  # OpenCV takes fixed-point coordinates with this many fractional bits
    for person_J3 in np.asarray(persons_PJ3, np.float32):
        at = [tuple(int(c) for c in np.round((xy * scale - 0.5) * 2**shift)) for xy in person_J3[:, :2]]
        seen = person_J3[:, 2] >= SEEN
        lines = [(a, b, _CENTRE) for a, b in TRUNK] + [(a, b, _side_colour(b)) for a, b in LIMBS]
        lines = [line for line in lines if seen[line[0]] and seen[line[1]]]
        for a, b, _ in lines:
            cv2.line(canvas, at[a], at[b], _OUTLINE, 3 * thin, cv2.LINE_AA, shift)
        for a, b, colour in lines:
            cv2.line(canvas, at[a], at[b], colour, thin + 1, cv2.LINE_AA, shift)
        for joint in np.flatnonzero(seen).tolist():
            cv2.circle(canvas, at[joint], (2 * thin) << shift, _OUTLINE, -1, cv2.LINE_AA, shift)
            cv2.circle(canvas, at[joint], (thin << shift) + 4, _side_colour(joint), -1, cv2.LINE_AA, shift)
    return canvas


def _side_colour(joint: int) -> tuple[int, int, int]:
    if joint == 0:
        return _CENTRE
    return _LEFT if joint % 2 else _RIGHT


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
