"""Base class of torchvision's R-CNNs: boxes of persons in frames, and a second head's output for them.

He et al., "Mask R-CNN" (ICCV 2017) with a ResNet-50 feature pyramid, in torchvision's implementation and with
its weights.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from cocon.config.schema import RcnnParameters
from view_extractors.base import MAX_SIDE, Resources, SharedNetwork, resize, scaled_size
from view_extractors.networks.devices import at_once, torch_device, torchvision_models, upload
from view_extractors.networks.persons import Persons
from view_extractors.networks.weights import WEIGHTS, load_weights

if TYPE_CHECKING:
    import torch

#: the label of persons, in COCO's classes with and without the others
PERSON = 1
#: memory for a frame, per pixel of the network's input
_BYTES_PER_PIXEL = 2500
#: longer sides than this many shorter ones are scaled further down; the weights were trained with it
_LONGEST_SIDE = 1333 / 800


class Rcnn(SharedNetwork):
    """A detector of persons with a second head.

    Attributes:
        name: of the network in torchvision, and of its weights.

    Raises:
        CoConError: torchvision is not installed, or a GPU is requested and there is none.
        AssetError: the weights are not available.
    """

    name: ClassVar[str]

    def __init_subclass__(cls) -> None:
        cls.weights = WEIGHTS[cls.name].filename

    def __init__(self, options: RcnnParameters, resources: Resources) -> None:
        self._options = options
        network = getattr(torchvision_models("detection", "torchvision"), self.name)(
            weights=None,
            weights_backbone=None,
            min_size=options.frame_short_side,
            max_size=round(_LONGEST_SIDE * options.frame_short_side),
            box_score_thresh=options.score,
        )
        load_weights(network, self.name)
        self._device = torch_device(resources)
        self._network: Any = network.eval().to(self._device)

    def start(self) -> None:
        """Start a new video; frames are independent of each other."""

    def infer(self, frames: Sequence[np.ndarray]) -> list[Persons]:
        """The persons in each RGB frame; as many frames at once as fit."""
        height, width = frames[0].shape[:2]
        longest = MAX_SIDE * min(height, width) // max(height, width)
        size = scaled_size(height, width, min(self._options.frame_short_side, longest))
        step = at_once(self._device, _BYTES_PER_PIXEL * size[0] * size[1])
        parts = [self._infer(frames[i : i + step], size) for i in range(0, len(frames), step)]
        return [persons for part in parts for persons in part]

    def _infer(self, frames: Sequence[np.ndarray], size: tuple[int, int]) -> list[Persons]:
        import torch

        pictures_BHWC = np.stack([resize(frame, size) for frame in frames])
        with torch.inference_mode():
            pixels_BCHW = upload(pictures_BHWC, self._device).float() / 255
            images, _ = self._network.transform(list(pixels_BCHW))
            features = self._network.backbone(images.tensors)
            proposals, _ = self._network.rpn(images, features)
            boxes, scores = self._find(features, proposals, images.image_sizes)
            read = self._read(features, boxes, images.image_sizes)
        height, width = images.image_sizes[0]
        scale_2 = np.array([frames[0].shape[1] / width, frames[0].shape[0] / height], np.float32)
        ends = np.cumsum([len(boxes_P4) for boxes_P4 in boxes])[:-1]
        return [
            self._persons(boxes_P4.cpu().numpy(), scores_P.cpu().numpy(), read_P, scale_2)
            for boxes_P4, scores_P, read_P in zip(boxes, scores, np.split(read, ends), strict=True)
        ]

    def _find(
        self, features: Any, proposals: Any, sizes: Any
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Boxes (P, 4) in px of the network's input and scores (P,) of the best persons of every frame."""
        heads = self._network.roi_heads
        logits, offsets = heads.box_predictor(heads.box_head(heads.box_roi_pool(features, proposals, sizes)))
        found = heads.postprocess_detections(logits, offsets, proposals, sizes)
        kept = [(labels == PERSON).nonzero()[: self._options.persons, 0] for labels in found[2]]
        boxes = [boxes_P4[k] for boxes_P4, k in zip(found[0], kept, strict=True)]
        return boxes, [scores_P[k] for scores_P, k in zip(found[1], kept, strict=True)]

    @abstractmethod
    def _read(self, features: Any, boxes: list[torch.Tensor], sizes: Any) -> np.ndarray:
        """The second head's output for the boxes of all frames together."""

    @abstractmethod
    def _persons(
        self, boxes_P4: np.ndarray, scores_P: np.ndarray, read_P: np.ndarray, scale_2: np.ndarray
    ) -> Persons:
        """The persons of one frame; ``scale_2`` leads from the network's px to the frame's, in x and y."""
