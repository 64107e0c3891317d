"""The pose view by Keypoint R-CNN: every person of a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from view_extractors.networks.persons import Persons
from view_extractors.networks.rcnn import Rcnn
from view_extractors.pose.persons import PersonPose, with_certainty

if TYPE_CHECKING:
    import torch


class KeypointRcnn(Rcnn):
    """Keypoint R-CNN; it has no other class than persons."""

    name = "keypointrcnn_resnet50_fpn"
    epsilon = 0.0

    def _logits(self, features: Any, boxes: list[torch.Tensor], sizes: Any) -> torch.Tensor:
        heads = self._network.roi_heads
        pooled = heads.keypoint_roi_pool(features, boxes, sizes)
        logits_PJMM: torch.Tensor = heads.keypoint_predictor(heads.keypoint_head(pooled))
        return logits_PJMM

    def _read(self, logits: torch.Tensor, boxes_P4: torch.Tensor) -> np.ndarray:
        """Keypoints (all persons, 17, 3) in px of the network's input, with their certainty."""
        from torchvision.models.detection.roi_heads import heatmaps_to_keypoints

        # It reads the size of each box: from the CPU's copy, because it would wait for the device each time.
        points_PJ2 = heatmaps_to_keypoints(logits, boxes_P4)[0][:, :, :2]
        return with_certainty(logits, boxes_P4, points_PJ2)

    def _persons(
        self, boxes_P4: np.ndarray, scores_P: np.ndarray, read_P: np.ndarray, scale_2: np.ndarray
    ) -> Persons:
        keypoints_PJ3 = read_P * np.append(scale_2, np.float32(1))
        return Persons(boxes_P4 * np.tile(scale_2, 2), scores_P, keypoints_PJ3=keypoints_PJ3)


class KeypointRcnnPose(PersonPose):
    """The keypoints of the persons that Keypoint R-CNN finds."""

    backend = "torchvision"
    network = KeypointRcnn
