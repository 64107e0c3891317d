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
from view_extractors.base import MAX_SIDE, Resources, SharedNetwork, scaled_size
from view_extractors.networks.devices import (
    at_once,
    half_precision,
    keep_float32,
    placed,
    torch_device,
    torchvision_models,
)
from view_extractors.networks.persons import Persons, best_persons
from view_extractors.networks.resizing import scaled
from view_extractors.networks.weights import WEIGHTS, load_weights

if TYPE_CHECKING:
    import torch

#: the label of persons, in COCO's classes with and without the others
PERSON = 1
#: layers that give boxes, scores and the second head's logits
_FLOAT32 = ("cls_logits", "bbox_pred", "box_predictor", "mask_fcn_logits", "kps_score_lowres")
#: memory for a frame, per pixel of the network's input: tensors take 400 bytes in half precision (counted on
#: a CPU), and convolutions need room
_BYTES_PER_PIXEL = 1000
#: longer sides than this many shorter ones are scaled further down; the weights were trained with it
_LONGEST_SIDE = 1333 / 800


class Rcnn(SharedNetwork):
    """A detector of persons with a second head.

    Attributes:
        name: of the network in torchvision, and of its weights.
        epsilon: that is added to variances in the backbone's batch norm, as the weights were trained.

    Raises:
        CoConError: torchvision is not installed, or a GPU is requested and there is none.
        AssetError: the weights are not available.
    """

    name: ClassVar[str]
    epsilon: ClassVar[float]

    def __init_subclass__(cls) -> None:
        cls.weights = WEIGHTS[cls.name].filename

    def __init__(self, options: RcnnParameters, resources: Resources) -> None:
        import torch

        self._options = options
        network = getattr(torchvision_models("detection", "torchvision"), self.name)(
            weights=None,
            weights_backbone=None,
            min_size=options.frame_short_side,
            max_size=round(_LONGEST_SIDE * options.frame_short_side),
            box_score_thresh=options.score,
        )
        load_weights(network, self.name)
        for module in network.backbone.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eps = self.epsilon
        self._device = torch_device(resources)
        self._network: Any = placed(network, self._device)
        keep_float32(self._network, _FLOAT32)

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

        with torch.inference_mode():
            pixels_BCHW = scaled(frames, size, self._device) / 255
            with half_precision(self._device):
                images, _ = self._network.transform(list(pixels_BCHW))
                features = self._network.backbone(images.tensors)
            # In float32, because torchvision gives boxes the type of the features.
            proposals, _ = self._network.rpn(images, {name: x.float() for name, x in features.items()})
            with half_precision(self._device):
                boxes, scores_P = self._find(features, proposals, images.image_sizes)
                logits = self._logits(features, boxes, images.image_sizes)
            # What several frames have found leaves the device in one copy.
            found_P5 = torch.cat([torch.cat(boxes), scores_P[:, None]], dim=1).cpu()
            read = self._read(logits, found_P5[:, :4])
        ends = np.cumsum([len(boxes_P4) for boxes_P4 in boxes])[:-1]
        height, width = images.image_sizes[0]
        scale_2 = np.array([frames[0].shape[1] / width, frames[0].shape[0] / height], np.float32)
        columns = (np.split(x, ends) for x in (found_P5[:, :4].numpy(), found_P5[:, 4].numpy(), read))
        return [
            self._persons(boxes_P4, scores_P, read_P, scale_2)
            for boxes_P4, scores_P, read_P in zip(*columns, strict=True)
        ]

    def _find(self, features: Any, proposals: Any, sizes: Any) -> tuple[list[torch.Tensor], torch.Tensor]:
        """The best persons: boxes (P, 4) in px of the network's input per frame, and the scores of all."""
        import torch

        heads = self._network.roi_heads
        logits, offsets = heads.box_predictor(heads.box_head(heads.box_roi_pool(features, proposals, sizes)))
        boxes, scores, labels = heads.postprocess_detections(logits, offsets, proposals, sizes)
        counts, places_P = best_persons(labels, PERSON, self._options.persons)
        return list(torch.cat(boxes)[places_P].split(counts)), torch.cat(scores)[places_P]

    @abstractmethod
    def _logits(self, features: Any, boxes: list[torch.Tensor], sizes: Any) -> torch.Tensor:
        """The second head's output for the boxes of all frames together, on the device."""

    @abstractmethod
    def _read(self, logits: torch.Tensor, boxes_P4: torch.Tensor) -> np.ndarray:
        """What the logits say of each box; the boxes are on the CPU."""

    @abstractmethod
    def _persons(
        self, boxes_P4: np.ndarray, scores_P: np.ndarray, read_P: np.ndarray, scale_2: np.ndarray
    ) -> Persons:
        """The persons of one frame; ``scale_2`` leads from the network's px to the frame's, in x and y."""
