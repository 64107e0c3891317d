"""Tracks persons from frame to frame by their boxes."""

from __future__ import annotations

import numpy as np

#: boxes of the same person in two frames overlap by at least this ratio of intersection to union
_OVERLAP = 0.2
#: frames without detection after which a person is dropped
_PATIENCE = 15


class Tracks:
    """Gives each person of a video a number, and the same number in later frames.

    A person who is hidden for a moment keeps the number.
    """

    def __init__(self) -> None:
        self._numbers = np.zeros(0, int)
        self._boxes_P4 = np.zeros((0, 4))
        self._unseen = np.zeros(0, int)
        self._next = 0

    def follow(self, boxes_P4: np.ndarray) -> np.ndarray:
        """The numbers of the persons in the next frame, int (P,), by their boxes x1, y1, x2, y2."""
        numbers_P = np.full(len(boxes_P4), -1)
        self._unseen += 1
        for person, known in pairs(boxes_P4, self._boxes_P4, _OVERLAP).items():
            numbers_P[person] = self._numbers[known]
            self._boxes_P4[known], self._unseen[known] = boxes_P4[person], 0
        new_P = np.flatnonzero(numbers_P < 0)
        numbers_P[new_P] = self._next + np.arange(len(new_P))
        self._next += len(new_P)
        kept = self._unseen <= _PATIENCE
        self._numbers = np.concatenate([self._numbers[kept], numbers_P[new_P]])
        self._boxes_P4 = np.concatenate([self._boxes_P4[kept], boxes_P4[new_P]])
        self._unseen = np.concatenate([self._unseen[kept], np.zeros(len(new_P), int)])
        return numbers_P


def pairs(boxes_P4: np.ndarray, others_Q4: np.ndarray, least: float) -> dict[int, int]:
    """Match each box to one of the others: largest overlap first, none below ``least``."""
    overlap_PQ = overlaps(boxes_P4, others_Q4)
    found: dict[int, int] = {}
    while overlap_PQ.size and overlap_PQ.max() >= least:
        box, other = divmod(int(overlap_PQ.argmax()), overlap_PQ.shape[1])
        found[box] = other
        overlap_PQ[box], overlap_PQ[:, other] = -1, -1
    return found


def overlaps(boxes_P4: np.ndarray, others_Q4: np.ndarray) -> np.ndarray:
    """Ratio of intersection to union of each pair of boxes, (P, Q)."""
    low_PQ2 = np.maximum(boxes_P4[:, None, :2], others_Q4[None, :, :2])
    high_PQ2 = np.minimum(boxes_P4[:, None, 2:], others_Q4[None, :, 2:])
    both_PQ = np.prod(np.clip(high_PQ2 - low_PQ2, 0, None), axis=2)
    area_P, area_Q = (np.prod(b[:, 2:] - b[:, :2], axis=1) for b in (boxes_P4, others_Q4))
    result: np.ndarray = both_PQ / np.maximum(area_P[:, None] + area_Q - both_PQ, 1e-9)
    return result
