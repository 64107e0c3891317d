"""The mask view by Mask R-CNN: every person of a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from view_extractors.mask.persons import PersonMask
from view_extractors.networks.persons import Persons
from view_extractors.networks.rcnn import PERSON, Rcnn

if TYPE_CHECKING:
    import torch

#: The mask head's targets and features are sampled as if pixel i had its centre at i, not at i + .5: what
#: its output for a box belongs half a pixel further right and down.
_SHIFT = 0.5


class MaskRcnn(Rcnn):
    """Mask R-CNN with the improved head and training of Li et al. 2021 (arXiv 2111.11429)."""

    name = "maskrcnn_resnet50_fpn_v2"
    epsilon = 1e-5

    def _logits(self, features: Any, boxes: list[torch.Tensor], sizes: Any) -> torch.Tensor:
        heads = self._network.roi_heads
        logits_PLMM = heads.mask_predictor(heads.mask_head(heads.mask_roi_pool(features, boxes, sizes)))
        logits_PMM: torch.Tensor = logits_PLMM[:, PERSON]
        return logits_PMM

    def _read(self, logits: torch.Tensor, boxes_P4: torch.Tensor) -> np.ndarray:
        """Probabilities, float32 (all persons, 28, 28)."""
        result: np.ndarray = logits.sigmoid().cpu().numpy()
        return result

    def _persons(
        self, boxes_P4: np.ndarray, scores_P: np.ndarray, read_P: np.ndarray, scale_2: np.ndarray
    ) -> Persons:
        boxes_P4 = (boxes_P4 + np.float32(_SHIFT)) * np.tile(scale_2, 2)
        return Persons(boxes_P4, scores_P, masks_P=list(read_P))


class MaskRcnnMask(PersonMask):
    """Union of the persons that Mask R-CNN finds."""

    backend = "torchvision"
    network = MaskRcnn
