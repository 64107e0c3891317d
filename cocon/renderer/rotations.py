"""Rotation matrices in bulk. Axes: x forward, y up, z right; angles in radians; any leading shape.

Roll turns about x (positive: towards the right), yaw about y (positive: to the left), pitch about z
(positive: backwards, so that a bow has negative pitch).
"""

from __future__ import annotations

import numpy as np


def _about(angle: np.ndarray | float, axis: int) -> np.ndarray:
    angle = np.asarray(angle, float)
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.zeros((*angle.shape, 3, 3))
    matrix[..., axis, axis] = 1
    matrix[..., first, first] = matrix[..., second, second] = np.cos(angle)
    matrix[..., second, first] = np.sin(angle)
    matrix[..., first, second] = -np.sin(angle)
    return matrix


def roll(angle: np.ndarray | float) -> np.ndarray:
    """Rotation about x."""
    return _about(angle, 0)


def yaw(angle: np.ndarray | float) -> np.ndarray:
    """Rotation about y."""
    return _about(angle, 1)


def pitch(angle: np.ndarray | float) -> np.ndarray:
    """Rotation about z."""
    return _about(angle, 2)


def euler(angles: np.ndarray) -> np.ndarray:
    """(..., 3) roll, yaw, pitch -> (..., 3, 3); roll is applied first, yaw last."""
    result: np.ndarray = yaw(angles[..., 1]) @ pitch(angles[..., 2]) @ roll(angles[..., 0])
    return result


def unit(vectors: np.ndarray) -> np.ndarray:
    """Scale vectors to length one."""
    vectors = np.asarray(vectors, float)
    result: np.ndarray = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return result


def without(vectors: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """The part of ``vectors`` that is perpendicular to the unit vectors ``direction``."""
    result: np.ndarray = vectors - (vectors * direction).sum(-1, keepdims=True) * direction
    return result


def limb(along: np.ndarray, hinge: np.ndarray) -> np.ndarray:
    """Rotation that takes a hanging limb (-y) to ``along`` and its hinge axis (z) close to ``hinge``.

    Args:
        along: (..., 3) unit vectors.
        hinge: (..., 3), not parallel to ``along``; need not be perpendicular to it.
    """
    x = unit(np.cross(-along, hinge))
    return np.stack([x, -along, np.cross(x, -along)], -1)


def align(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The smallest rotation that takes direction ``source`` to ``target`` (not its opposite)."""
    source, target = unit(source), unit(target)
    x, y, z = np.cross(source, target)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    result: np.ndarray = np.eye(3) + cross + cross @ cross / (1 + source @ target)
    return result


def transform(matrices: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """(..., 3, 3) times (..., 3)."""
    result: np.ndarray = np.einsum("...ij,...j->...i", matrices, vectors)
    return result
