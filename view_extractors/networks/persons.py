"""The result type of the networks: the persons in a frame; and which detections they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Persons:
    """The P persons in one frame, best first, or in the order of their first frames; P may be 0.

    Coordinates are px of the decoded frame, with the corner of the first pixel at (0, 0).

    Attributes:
        boxes_P4: float32 (P, 4), x1, y1, x2, y2.
        scores_P: float32 (P,), certainty in [0, 1] that there is a person.
        keypoints_PJ3: float32 (P, 17, 3), COCO keypoints as x, y and the certainty in [0, 1] of the keypoint,
            given that there is a person. None: the network finds none.
        masks_P: P arrays float32 (m, n), probabilities in m x n equal cells of each box. None: no masks.
        frame: the RGB frame, where a second network looks at the persons. None: nothing needs it.
    """

    boxes_P4: np.ndarray
    scores_P: np.ndarray
    keypoints_PJ3: np.ndarray | None = None
    masks_P: Sequence[np.ndarray] | None = None
    frame: np.ndarray | None = None


def best_persons(labels: Sequence[torch.Tensor], person: int, limit: int) -> tuple[list[int], torch.Tensor]:
    """Which detections of several frames to take: the first ones that are persons.

    Args:
        labels: of each frame's detections, best first.
        person: the label of persons.
        limit: of persons per frame.

    Returns:
        How many there are in each frame, and their places among the detections of all frames, on the device.
    """
    import torch

    sizes = [len(labels_A) for labels_A in labels]
    starts = np.cumsum([0, *sizes[:-1]])
    # Chosen on the CPU, after one copy: on the device, each frame would wait for the number of its persons.
    parts = np.split(torch.cat(list(labels)).cpu().numpy(), starts[1:])
    places = [
        np.flatnonzero(part == person)[:limit] + start for part, start in zip(parts, starts, strict=True)
    ]
    places_P = torch.from_numpy(np.concatenate(places)).to(labels[0].device)
    return [len(of_frame) for of_frame in places], places_P
