"""The One-Euro filter on the keypoints of several persons.

Casiez, Roussel and Vogel, "1€ Filter: a simple speed-based low-pass filter for noisy input in interactive
systems" (CHI 2012): a low pass whose cutoff rises with the speed, so that resting points are steady and
moving points do not lag. The filter is causal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cocon.config.schema import OneEuroParameters
from cocon.tracks import pairs

USUAL_FPS = 25.0
"""Used if a file has no number of frames per second, or an impossible one."""
_LIKELY_FPS = (4.0, 130.0)
LOST_SECONDS = 0.25
"""After a longer gap without a detection, a track ends."""
OVERLAP = 0.3
"""Two boxes around keypoints are the same person's if their intersection over union is at least this."""


@dataclass(frozen=True)
class Track:
    """A person from earlier frames.

    Attributes:
        points_J2: where the keypoints were last, filtered, px.
        speed_J2: how fast they moved, filtered, px/s.
        box: (4,) around the unfiltered keypoints, x1, y1, x2, y2.
        frames: since then; 1: the frame before this one.
    """

    points_J2: np.ndarray
    speed_J2: np.ndarray
    box: np.ndarray
    frames: int = 1


Tracks = tuple[Track, ...]


def smooth(
    poses: Sequence[np.ndarray],
    tracks: Tracks,
    size: tuple[int, int],
    fps: float,
    parameters: OneEuroParameters,
) -> tuple[list[np.ndarray], Tracks]:
    """Filter the persons of consecutive frames.

    Args:
        poses: per frame float32 (P, 17, 3): x and y as fractions of the frame, score.
        tracks: what the call before returned; empty at the start of a video.
        size: (height, width) of the frame, px.
        fps: frames per second; 0: unknown.
        parameters: of the filter.

    Returns:
        The frames with other x and y, persons in the same order; and the tracks for the next call. The
        arguments are not modified.
    """
    rate = fps if _LIKELY_FPS[0] <= fps <= _LIKELY_FPS[1] else USUAL_FPS
    scale = np.array(size[::-1], float)
    results = []
    for pose_PJ3 in poses:
        points_PJ2 = pose_PJ3[:, :, :2] * scale
        boxes_P4 = np.concatenate([points_PJ2.min(axis=1), points_PJ2.max(axis=1)], axis=1)
        known = pairs(boxes_P4, np.array([track.box for track in tracks]).reshape(-1, 4), OVERLAP)
        found = [
            _next(tracks[known[person]], points, box, rate, parameters)
            if person in known
            else Track(points, np.zeros_like(points), box)
            for person, (points, box) in enumerate(zip(points_PJ2, boxes_P4, strict=True))
        ]
        lost = [
            replace(track, frames=track.frames + 1)
            for number, track in enumerate(tracks)
            if number not in known.values() and track.frames <= LOST_SECONDS * rate
        ]
        tracks = (*found, *lost)
        result_PJ3 = pose_PJ3.copy()
        for person, track in enumerate(found):
            result_PJ3[person, :, :2] = track.points_J2 / scale
        results.append(result_PJ3)
    return results, tracks


def _next(
    track: Track, points_J2: np.ndarray, box: np.ndarray, rate: float, parameters: OneEuroParameters
) -> Track:
    """Algorithm 1 of the paper; the speed is a vector, and counts in sizes of the person."""
    seconds = track.frames / rate
    slope_J2 = (points_J2 - track.points_J2) / seconds
    speed_J2 = _low_pass(slope_J2, track.speed_J2, parameters.speed_cutoff, seconds)
    person = max(float((box[2:] - box[:2]).max()), 1.0)
    relative_J1 = np.linalg.norm(speed_J2, axis=1, keepdims=True) / person
    cutoff_J1 = parameters.min_cutoff + parameters.beta * relative_J1
    return Track(_low_pass(points_J2, track.points_J2, cutoff_J1, seconds), speed_J2, box)


def _low_pass(
    value: np.ndarray, before: np.ndarray, cutoff: np.ndarray | float, seconds: float
) -> np.ndarray:
    """One step of exponential smoothing with a cutoff in Hz."""
    weight = 1 / (1 + 1 / (2 * math.pi * cutoff * seconds))
    return weight * value + (1 - weight) * before
