"""The result type of the networks: the persons in a frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


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
