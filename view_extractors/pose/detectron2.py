"""The pose view by Detectron2's Keypoint R-CNN, which the authors of CoCon used: every person of a frame."""

from __future__ import annotations

from typing import Any

import numpy as np

from view_extractors.networks.detectron2 import Detectron2Network
from view_extractors.networks.persons import Persons
from view_extractors.pose.persons import PersonPose, keypoint_certainty


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
        return [self._read(instances, scale_2) for instances in found]

    def _read(self, instances: Any, scale_2: np.ndarray) -> Persons:
        kept_P = self.persons(instances)
        boxes_P4 = instances.pred_boxes.tensor[kept_P].cpu().numpy()
        points_PJ2 = instances.pred_keypoints[kept_P, :, :2].cpu().numpy()
        logits_PJMM = instances.pred_keypoint_heatmaps[kept_P].cpu().numpy()
        scores_PJ = keypoint_certainty(logits_PJMM, boxes_P4, points_PJ2)
        keypoints_PJ3 = np.concatenate([points_PJ2 * scale_2, scores_PJ[:, :, None]], axis=2)
        scores_P = instances.scores[kept_P].cpu().numpy()
        return Persons(boxes_P4 * np.tile(scale_2, 2), scores_P, keypoints_PJ3=keypoints_PJ3)


class Detectron2Pose(PersonPose):
    """The keypoints of the persons that Keypoint R-CNN finds."""

    backend = "detectron2"
    network = Detectron2KeypointRcnn
