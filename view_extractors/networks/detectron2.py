"""Shared by Detectron2's networks: from frames to raw detections of persons.

https://github.com/facebookresearch/detectron2 with the weights of its model zoo, trained on COCO. Results are
taken before Detectron2 postprocesses them, because that binarises masks at .5.
"""

from __future__ import annotations

import importlib
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from cocon.config.schema import RcnnParameters
from cocon.errors import CoConError
from cocon.installation import failed_import
from view_extractors.base import Resources, SharedNetwork
from view_extractors.networks.checkpoints import load_published
from view_extractors.networks.devices import at_once, half_precision, keep_float32, placed, torch_device
from view_extractors.networks.persons import best_persons
from view_extractors.networks.resizing import scaled_by_pillow
from view_extractors.networks.weights import WEIGHTS

if TYPE_CHECKING:
    import torch

INSTALL = (
    "pip install 'setuptools<82' && "
    "pip install --no-build-isolation 'git+https://github.com/facebookresearch/detectron2'"
)
#: the class of persons, counted as Detectron2 does
PERSON = 0
#: longer sides than this many shorter ones are scaled further down; the weights were trained with it
LONGEST_SIDE = 1333 / 800
#: layers that give boxes, scores and logits; and the poolers, which take boxes in the precision of features
_FLOAT32 = (
    *("objectness_logits", "anchor_deltas", "box_predictor", "predictor", "score_lowres"),
    *("box_pooler", "mask_pooler", "keypoint_pooler"),
)
#: memory for a frame, per pixel of the network's input: more than for torchvision's networks, because the
#: logits and probabilities of 54 classes are in float32
_BYTES_PER_PIXEL = 2000


class Detectron2Network(SharedNetwork):
    """A network of the model zoo.

    Attributes:
        name: of its weights.
        config: its configuration in the model zoo.

    Raises:
        CoConError: detectron2 is not installed, or a GPU is requested and there is none.
        AssetError: the weights are not available.
    """

    name: ClassVar[str]
    config: ClassVar[str]

    def __init_subclass__(cls) -> None:
        cls.weights = f"detectron2: {cls.config} {WEIGHTS[cls.name].filename}"

    def __init__(self, options: RcnnParameters, resources: Resources) -> None:
        self.options: Any = options
        self._device = torch_device(resources)
        settings = _import("detectron2.model_zoo").get_config(f"{self.config}.yaml")
        settings.MODEL.DEVICE = self._device.type
        settings.MODEL.ROI_HEADS.SCORE_THRESH_TEST = options.score
        settings.TEST.DETECTIONS_PER_IMAGE = self.detections(settings.TEST.DETECTIONS_PER_IMAGE)
        self._bgr = settings.INPUT.FORMAT == "BGR"
        self._pillow = _import("PIL.Image")
        self._network: Any = _import("detectron2.modeling").build_model(settings)
        load_published(self._network, self.name)
        self._network = placed(self._network, self._device)
        keep_float32(self._network, _FLOAT32)

    def start(self) -> None:
        """Start a new video; frames are independent of each other."""

    def infer(self, frames: Sequence[np.ndarray]) -> list[Any]:
        """The result of :meth:`read` for each RGB frame; as many frames at once as fit."""
        height, width = frames[0].shape[:2]
        size = network_size(height, width, self.options.frame_short_side)
        step = at_once(self._device, _BYTES_PER_PIXEL * size[0] * size[1])
        parts = [self._infer(frames[i : i + step], size) for i in range(0, len(frames), step)]
        return [result for part in parts for result in part]

    def _infer(self, frames: Sequence[np.ndarray], size: tuple[int, int]) -> list[Any]:
        import torch

        scale_2 = np.array(frames[0].shape[1::-1], np.float32) / np.array(size[::-1], np.float32)
        with torch.inference_mode():
            x_BCHW = scaled_by_pillow(frames, size, self._device, self._pillow)
            inputs = [{"image": x_CHW.flip(0) if self._bgr else x_CHW} for x_CHW in x_BCHW]
            with half_precision(self._device):
                found = self._network.inference(inputs, do_postprocess=False)
            return self.read(found, scale_2)

    def detections(self, usual: int) -> int:
        """How many detections of a frame, the best of all classes, the second head reads."""
        return usual

    @abstractmethod
    def read(self, found: Any, scale_2: np.ndarray) -> list[Any]:
        """One result per frame, from the raw output for all of them.

        Args:
            found: what the network's ``inference`` returns with ``do_postprocess=False``; coordinates are px
                of its input, continuous, with the corner of the first pixel at (0, 0).
            scale_2: leads from there to the frame, in x and y.
        """

    def persons(self, found: Sequence[Any], fields: Sequence[str]) -> tuple[list[int], list[torch.Tensor]]:
        """The best persons of all frames.

        Args:
            found: the instances of each frame.
            fields: of the instances, which are tensors.

        Returns:
            How many persons each frame has; and boxes, scores and the fields of all of them, on the device.
        """
        import torch

        counts, places_P = best_persons(
            [instances.pred_classes for instances in found], PERSON, self.options.persons
        )
        columns = [[instances.pred_boxes.tensor for instances in found]]
        columns += [[getattr(instances, field) for instances in found] for field in ("scores", *fields)]
        return counts, [torch.cat(column)[places_P] for column in columns]


def network_size(height: int, width: int, short_side: int) -> tuple[int, int]:
    """The size (h, w) that a frame is scaled to: by its shorter side, unless the longer gets too long."""
    scale = min(short_side / min(height, width), LONGEST_SIDE * short_side / max(height, width))
    return max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))


def _import(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        install = f"{INSTALL}, or from conda-forge; see docs/backends.md"
        raise CoConError(*failed_import("the backend 'detectron2'", "detectron2", error, install)) from error
