"""Scores poses and masks against the truth of videos with several persons.

A person counts in a frame if at least half of the 17 joints are in sight: inside the picture and not behind
another person. The smaller person of a video is the one whose torso is smallest in the mean over its frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cocon.shards import ShardSet, VideoInfo
from cocon.views import COCO_KEYPOINTS
from view_extractors.scoring.truth import JOINTS, PCK_RADIUS, Truth, load, torso, true_masks

MATCH_RADIUS = 0.5
"""A person is found if the mean distance of the keypoints from the joints is smaller, in torsos."""
COVERED = 0.5
"""A mask has found a person if it covers this part of the person's visible part."""
_EXCHANGE = {"left": "right", "right": "left"}
#: where the joint of the other side stands
OTHER_SIDE = [
    COCO_KEYPOINTS.index("_".join(_EXCHANGE.get(word, word) for word in name.split("_")))
    for name in COCO_KEYPOINTS
]


@dataclass(frozen=True)
class _Person:
    """The result for one person who counts in one frame; joint arrays are bool (17,)."""

    smaller: bool
    found: bool
    correct_J: np.ndarray
    inside_J: np.ndarray
    in_sight_J: np.ndarray


def score_poses(shards: ShardSet, pairs: list[tuple[VideoInfo, Path]]) -> dict[str, float]:
    """How many persons are found, and PCK@0.2 of those.

    In each frame, true and found persons are matched (see :func:`match`); a found person without a match is a
    false positive. PCK@0.2 is taken over all joints inside the picture, whether another person hides them or
    not; ``in sight`` leaves hidden ones out. ``lost persons as wrong`` counts the joints of persons who are
    not found, too, as wrong.
    """
    frames = false = 0
    persons: list[_Person] = []
    for info, path in pairs:
        truth = load(path, info, ("joints", "joints_inside", "joints_visible"))
        source = np.array([info.source_width, info.source_height])
        smallest = _smallest(truth)
        for t, found_FJ3 in enumerate(shards.keypoints(info.id)):
            joints_PJ2, inside_PJ = truth["joints"][t], truth["joints_inside"][t]
            # The truth has pixel centres at integers, the shard has pixel corners there.
            found_FJ2 = found_FJ3[:, :, :2] * source - 0.5
            matches = match(joints_PJ2, inside_PJ, found_FJ2)
            frames += 1
            false += len(found_FJ2) - len(matches)
            for person in _counting(truth, t):
                near_J = np.zeros(JOINTS, bool)
                if person in matches:
                    distance_J = np.linalg.norm(found_FJ2[matches[person]] - joints_PJ2[person], axis=1)
                    near_J = distance_J < PCK_RADIUS * torso(joints_PJ2[person])
                in_sight_J = truth["joints_visible"][t, person]
                persons.append(
                    _Person(person == smallest, person in matches, near_J, inside_PJ[person], in_sight_J)
                )
    there = [person for person in persons if person.found]
    small = [person for person in persons if person.smaller]
    return {
        "frames": float(frames),
        "persons": float(len(persons)),
        "persons found": _mean([person.found for person in persons]),
        "persons found, the smaller": _mean([person.found for person in small]),
        "false persons per frame": false / max(frames, 1),
        "PCK@0.2": _pck(there),
        "PCK@0.2, in sight": _pck(there, in_sight=True),
        "PCK@0.2, the smaller": _pck([person for person in small if person.found]),
        "PCK@0.2, lost persons as wrong": _pck(persons),
    }


def _pck(persons: Sequence[_Person], in_sight: bool = False) -> float:
    """Part of the joints inside the picture, or of those in sight, that are correct."""
    parts = [p.correct_J[p.in_sight_J if in_sight else p.inside_J] for p in persons]
    return _mean(np.concatenate(parts)) if parts else 0.0


def match(joints_PJ2: np.ndarray, inside_PJ: np.ndarray, found_FJ2: np.ndarray) -> dict[int, int]:
    """Which found person is which true person: the nearest two first, up to :data:`MATCH_RADIUS`.

    Near is the mean distance of the keypoints over the joints inside the picture, in units of the true torso,
    with left and right exchanged if that is nearer.

    Args:
        joints_PJ2: of the true persons.
        inside_PJ: joints inside the picture; a person without any has no match.
        found_FJ2: of the found persons, in the same units.

    Returns:
        Index of the found person by that of the true one.
    """
    apart_PF = np.full((len(joints_PJ2), len(found_FJ2)), np.inf)
    for person, (joints_J2, inside_J) in enumerate(zip(joints_PJ2, inside_PJ, strict=True)):
        if inside_J.any() and len(found_FJ2):
            ways = [
                np.linalg.norm(found_FJ2[:, order][:, inside_J] - joints_J2[inside_J], axis=2).mean(axis=1)
                for order in (list(range(JOINTS)), OTHER_SIDE)
            ]
            apart_PF[person] = np.min(ways, axis=0) / torso(joints_J2)
    matches: dict[int, int] = {}
    while apart_PF.size and apart_PF.min() < MATCH_RADIUS:
        person, found = divmod(int(apart_PF.argmin()), len(found_FJ2))
        matches[person] = found
        apart_PF[person], apart_PF[:, found] = np.inf, np.inf
    return matches


def score_masks(shards: ShardSet, pairs: list[tuple[VideoInfo, Path]]) -> dict[str, float]:
    """How much of the persons is covered, at the stored size and with masks cut at .5.

    ``IoU`` is that of the union of all persons, mean over frames with a person. ``persons covered`` is the
    part of what is in sight of a person that the found mask covers, mean over persons; a person is found if
    that is at least :data:`COVERED`.
    """
    ratios: list[float] = []
    covered: list[float] = []
    of_smaller: list[float] = []
    for info, path in pairs:
        names = ("mask_packed", "size", "persons_packed", "joints", "joints_visible")
        truth = load(path, info, names)
        true_THW = true_masks(truth["mask_packed"], truth, info)
        persons_TPHW = true_masks(truth["persons_packed"], truth, info)
        found_THW = shards.read(info.id, np.arange(info.frames))[..., 0] > 127
        smallest = _smallest(truth)
        for t, (true_HW, found_HW) in enumerate(zip(true_THW, found_THW, strict=True)):
            if true_HW.any():
                ratios.append((true_HW & found_HW).sum() / (true_HW | found_HW).sum())
            for person in _counting(truth, t):
                in_sight_HW = persons_TPHW[t, person]
                if in_sight_HW.any():
                    covered.append(float(found_HW[in_sight_HW].mean()))
                    of_smaller += covered[-1:] if person == smallest else []
    return {
        "frames": float(len(ratios)),
        "persons": float(len(covered)),
        "IoU": _mean(ratios),
        "persons covered": _mean(covered),
        "persons covered, the smaller": _mean(of_smaller),
        "persons found": _mean([part >= COVERED for part in covered]),
    }


def _counting(truth: Truth, t: int) -> Iterator[int]:
    """The persons that count in frame ``t``."""
    for person, in_sight_J in enumerate(truth["joints_visible"][t]):
        if 2 * in_sight_J.sum() >= JOINTS:
            yield person


def _smallest(truth: Truth) -> int:
    sizes_PT = [[torso(joints) for joints in joints_TJ2] for joints_TJ2 in truth["joints"].swapaxes(0, 1)]
    return int(np.mean(sizes_PT, axis=1).argmin())


def _mean(values: Sequence[float] | np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else 0.0
