"""Heatmaps from keypoints: what the reader of the pose view draws."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from cocon.shards.format import KEYPOINT_SHAPE


def render_heatmaps(persons_TPJ3: Sequence[np.ndarray], height: int, width: int, sigma: float) -> np.ndarray:
    """Draw the keypoints of T frames as Gaussians; ``uint8`` (T, height, width, J).

    A pixel's value is the largest over the persons of 255 * score * exp(-d^2 / 2 sigma^2), d being its
    distance from the keypoint; pixel centres lie at half-integers. No person gives an empty map. Only the
    pixels in which a Gaussian rounds to more than zero are computed.

    Args:
        persons_TPJ3: per frame (persons, J, 3): x and y as fractions of the picture, score.
        height: px.
        width: px.
        sigma: of the Gaussians, px.
    """
    counts = [len(persons) for persons in persons_TPJ3]
    joints = KEYPOINT_SHAPE[0]
    heat_THWJ = np.zeros((len(counts), height, width, joints), np.uint8)
    if not sum(counts):
        return heat_THWJ
    points_NJ3 = np.concatenate(persons_TPJ3).astype(np.float32)  # N persons of all frames
    frame_N = np.repeat(np.arange(len(counts)), counts)
    rank_N = np.concatenate([np.arange(count) for count in counts])
    radius = math.ceil(sigma * math.sqrt(2 * math.log(510)))  # 255 exp(-r^2 / 2 sigma^2) = .5
    reach = np.arange(-radius, radius + 1)
    x_NJ1 = points_NJ3[..., 0:1] * width - np.float32(0.5)
    y_NJ1 = points_NJ3[..., 1:2] * height - np.float32(0.5)
    column_NJK = np.rint(x_NJ1.clip(-radius, width + radius)).astype(np.int64) + reach
    row_NJK = np.rint(y_NJ1.clip(-radius, height + radius)).astype(np.int64) + reach
    scale = np.float32(-0.5 / sigma**2)
    across_NJK = np.exp(scale * (column_NJK.astype(np.float32) - x_NJ1) ** 2)
    down_NJK = np.exp(scale * (row_NJK.astype(np.float32) - y_NJ1) ** 2)
    down_NJK *= np.float32(255) * np.clip(points_NJ3[..., 2:3], 0, 1)
    across_NJK[(column_NJK < 0) | (column_NJK >= width)] = 0
    down_NJK[(row_NJK < 0) | (row_NJK >= height)] = 0
    value_NJKK = (down_NJK[..., :, None] * across_NJK[..., None, :] + np.float32(0.5)).astype(np.uint8)
    index_NJKK = frame_N[:, None, None, None] * height + row_NJK[..., :, None]
    index_NJKK = (index_NJKK * width + column_NJK[..., None, :]) * joints + np.arange(joints)[:, None, None]
    flat = heat_THWJ.reshape(-1)
    for rank in range(max(counts)):  # within one rank no pixel is drawn twice
        drawn = (value_NJKK > 0) & (rank_N == rank)[:, None, None, None]
        index, value = index_NJKK[drawn], value_NJKK[drawn]
        flat[index] = np.maximum(flat[index], value)
    return heat_THWJ
