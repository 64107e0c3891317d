"""The pose view by BlazePose: one person per frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cocon.config.schema import PoseExtraction
from view_extractors.base import Extractor
from view_extractors.blazepose import BlazePose, Person


class BlazePosePose(Extractor):
    """17 COCO keypoints of one person; frames without a person have none."""

    view = "pose"
    backend = "blazepose"
    section = PoseExtraction
    network = BlazePose
    codec = "keypoints"

    def process(self, batch: Sequence[Person | None]) -> list[np.ndarray]:
        """Keypoints as fractions of the frame, float32 (0 or 1, 17, 3)."""
        height, width = self.frame_size
        scale = np.array([1 / width, 1 / height, 1], np.float32)
        empty = np.zeros((0, 17, 3), np.float32)
        return [empty if person is None else (person.keypoints * scale)[None] for person in batch]
