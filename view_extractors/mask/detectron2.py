"""The mask view by Detectron2's panoptic FPN, which the authors of CoCon used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from view_extractors.base import resize
from view_extractors.mask.persons import PersonMask
from view_extractors.networks.detectron2 import Detectron2Network
from view_extractors.networks.persons import Persons

#: the channel of the semantic branch that stands for all countable things together
THINGS = 0


class Detectron2PanopticFpn(Detectron2Network):
    """Panoptic FPN (Kirillov et al. 2019) with a ResNet-101: instances, and a class for every pixel."""

    name = "panoptic_fpn_R_101_3x"
    config = "COCO-PanopticSegmentation/panoptic_fpn_R_101_3x"

    def detections(self, usual: int) -> int:
        """``usual`` where persons count, else 1, because other classes may have better detections."""
        return usual if self.options.confidence == "persons" else 1

    def read(self, found: Any, scale_2: np.ndarray) -> list[Persons] | list[np.ndarray]:
        """Per frame the persons, with masks; or, with ``confidence: things``, float32 (h, w)."""
        all_instances, logits_BCHW = found
        if self.options.confidence == "persons":
            return self._read(all_instances, scale_2)
        things_BHW = logits_BCHW.softmax(dim=1)[:, THINGS].cpu().numpy()
        sizes = [instances.image_size for instances in all_instances]
        # The network's input is padded at its right and lower side.
        return [things_HW[: size[0], : size[1]] for things_HW, size in zip(things_BHW, sizes, strict=True)]

    def _read(self, found: Sequence[Any], scale_2: np.ndarray) -> list[Persons]:
        counts, columns = self.persons(found, ["pred_masks"])
        ends = np.cumsum(counts)[:-1]
        return [
            Persons(boxes_P4 * np.tile(scale_2, 2), scores_P, masks_P=list(masks_P1MM[:, 0]))
            for boxes_P4, scores_P, masks_P1MM in zip(
                *(np.split(x.cpu().numpy(), ends) for x in columns), strict=True
            )
        ]


class Detectron2Mask(PersonMask):
    """Union of the persons that panoptic FPN finds, or its probability of things."""

    backend = "detectron2"
    network = Detectron2PanopticFpn

    def process(self, batch: Sequence[Persons | np.ndarray]) -> list[Any]:
        """The results, unchanged: they are drawn when they are stored."""
        return list(batch)

    def store(self, result: Persons | np.ndarray) -> bytes:
        """Draw the masks, or scale the probability, to the stored size, and encode it."""
        if isinstance(result, Persons):
            return super().store(result)
        return self.encode(np.rint(255 * resize(result, self.stored_size)).astype(np.uint8)[:, :, None])
