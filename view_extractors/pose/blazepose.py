"""The pose view by BlazePose: one person per frame."""

from __future__ import annotations

import numpy as np

from view_extractors.networks.blazepose import BlazePose, Person
from view_extractors.pose.persons import Pose


class BlazePosePose(Pose):
    """17 COCO keypoints of one person; frames without a person have none."""

    backend = "blazepose"
    network = BlazePose

    def pose(self, result: Person | None) -> np.ndarray:
        """Keypoints as fractions of the frame, float32 (0 or 1, 17, 3)."""
        if result is None:
            return np.zeros((0, 17, 3), np.float32)
        height, width = self.frame_size
        return (result.keypoints * np.array([1 / width, 1 / height, 1], np.float32))[None]
