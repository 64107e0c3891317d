"""Renders the heatmaps of the pose view from keypoints."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cocon.shards.format import KEYPOINT_SHAPE


def render_heatmaps(
    points_NJ3: np.ndarray, counts_T: Sequence[int], height: int, width: int, sigma: float
) -> np.ndarray:
    """Draw the keypoints of T frames as Gaussians; ``uint8`` (T, height, width, J).

    A pixel's value is the largest over the persons of 255 * score * exp(-d^2 / 2 sigma^2), d being its
    distance from the keypoint; pixel centres lie at half-integers. No person gives an empty map. Only the
    pixels in which a Gaussian rounds to more than zero are computed.

    Args:
        points_NJ3: ``float32``, the persons of all frames: x and y as fractions of the picture, score.
        counts_T: persons per frame.
        height: px.
        width: px.
        sigma: of the Gaussians, px.
    """
    from cocon.shards.kernels import draw_gaussians

    heat_THWJ = np.zeros((len(counts_T), height, width, KEYPOINT_SHAPE[0]), np.uint8)
    if len(points_NJ3):
        draw_gaussians(points_NJ3, np.cumsum([0, *counts_T]), float(sigma), heat_THWJ)
    return heat_THWJ
