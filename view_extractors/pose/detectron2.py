"""The pose view by Detectron2's Keypoint R-CNN, which the authors of CoCon used: every person of a frame."""

from __future__ import annotations

from typing import Any

import numpy as np

from view_extractors.networks.detectron2 import Detectron2Network
from view_extractors.networks.persons import Persons
from view_extractors.pose.persons import PersonPose, with_certainty


class Detectron2KeypointRcnn(Detectron2Network):
    """Keypoint R-CNN (He et al. 2017) with a ResNet-50 feature pyramid."""

    name = "keypoint_rcnn_R_50_FPN_3x"
    config = "COCO-Keypoints/keypoint_rcnn_R_50_FPN_3x"

    def detections(self, usual: int) -> int:
        """The number of persons: the network has no other class."""
        count: int = self.options.persons
        return count

    def read(self, found: Any, scale_2: np.ndarray) -> list[Persons]:
        """The persons in each frame, with keypoints."""
        counts, (boxes_P4, scores_P, points_PJ3, logits_PJMM) = self.persons(
            found, ["pred_keypoints", "pred_keypoint_heatmaps"]
        )
        read = boxes_P4.cpu(), scores_P.cpu(), with_certainty(logits_PJMM, boxes_P4, points_PJ3[:, :, :2])
        ends = np.cumsum(counts)[:-1]
        return [
            Persons(
                boxes_P4 * np.tile(scale_2, 2),
                scores_P,
                keypoints_PJ3=keypoints_PJ3 * np.append(scale_2, np.float32(1)),
            )
            for boxes_P4, scores_P, keypoints_PJ3 in zip(
                *(np.split(np.asarray(x), ends) for x in read), strict=True
            )
        ]


class Detectron2Pose(PersonPose):
    """The keypoints of the persons that Keypoint R-CNN finds."""

    backend = "detectron2"
    network = Detectron2KeypointRcnn
