"""The mask view by MediaPipe's selfie segmentation, in squares around the persons that MoveNet finds.

The network (MediaPipe 0.10.21, model card "Selfie Segmentation" of 2021, Apache-2.0) is a small MobileNetV3
that separates all persons of a 256-pixel picture from what is behind them. It expects persons who fill the
picture; hence the squares.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cocon import assets
from cocon.config.schema import MovenetParameters
from view_extractors.base import Resources, resize
from view_extractors.mask.persons import PersonMask
from view_extractors.networks.devices import OnGpu
from view_extractors.networks.litert import LiteRt, Pool
from view_extractors.networks.movenet import MoveNet
from view_extractors.networks.persons import Persons

_PX = 256
#: memory that a GPU needs for a picture, per pixel; some four times what torch holds on a CPU
_BYTES_PER_PIXEL = 200
_WEIGHTS = "mediapipe 0.10.21: selfie_segmentation.tflite"


class SelfieMask(PersonMask):
    """Union of the masks around all persons; zero everywhere in frames without one."""

    backend = "selfie"
    network = MoveNet

    @property
    def options(self) -> MovenetParameters:
        """Those of the network that finds the persons."""
        found: MovenetParameters = self.settings.selfie.movenet
        return found

    @property
    def parameters(self) -> dict[str, Any]:
        """Everything that the stored bytes depend on; the weights of both networks."""
        return {**super().parameters, "weights": f"{_WEIGHTS}; {MoveNet.weights}"}

    def prepare(self, resources: Resources) -> None:
        """Load the network."""
        super().prepare(resources)
        file = assets.fetch("selfie")
        self._masks = _on_gpu(file, resources) if resources.device == "cuda" else _on_cpu(file, resources)

    def process(self, batch: Sequence[Persons]) -> list[Persons]:
        """The squares around the persons of each frame, with masks."""
        squares = [squares_around(persons.boxes_P4, self.settings.selfie.margin) for persons in batch]
        parts = [
            cut_out(persons.frame, square_4)
            for persons, squares_P4 in zip(batch, squares, strict=True)
            for square_4 in squares_P4
        ]
        masks = iter(self._masks(parts))
        return [
            Persons(
                squares_P4.astype(np.float32),
                np.ones(len(squares_P4), np.float32),
                masks_P=[self._as_fine_as_stored(next(masks), square_4) for square_4 in squares_P4],
            )
            for squares_P4 in squares
        ]

    def _as_fine_as_stored(self, mask_HW: np.ndarray, square_4: np.ndarray) -> np.ndarray:
        """The mask with at most two cells per stored pixel: more are not visible, and slow to draw."""
        side = (square_4[2] - square_4[0]) * self.stored_size[0] / self.frame_size[0]
        cells = min(_PX, 2 * math.ceil(side))
        return resize(mask_HW, (cells, cells))


def squares_around(boxes_P4: np.ndarray, margin: float) -> np.ndarray:
    """Squares with whole px as corners around boxes, ``margin`` times their longer sides; int (P, 4)."""
    sides_P = np.maximum(np.rint(margin * (boxes_P4[:, 2:] - boxes_P4[:, :2]).max(axis=1)), 1)
    corners_P2 = np.rint((boxes_P4[:, :2] + boxes_P4[:, 2:] - sides_P[:, None]) / 2)
    return np.concatenate([corners_P2, corners_P2 + sides_P[:, None]], axis=1).astype(int)


def cut_out(frame: np.ndarray | None, square_4: np.ndarray) -> np.ndarray:
    """The part of an RGB frame in a square, ``uint8`` (256, 256, 3); black outside of the frame."""
    assert frame is not None
    height, width = frame.shape[:2]
    x1, y1, x2, y2 = map(int, square_4)
    inside = frame[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)]
    if not inside.size:
        return np.zeros((_PX, _PX, 3), np.uint8)
    above, below, left, right = (max(outside, 0) for outside in (-y1, y2 - height, -x1, x2 - width))
    return resize(cv2.copyMakeBorder(inside, above, below, left, right, cv2.BORDER_CONSTANT), (_PX, _PX))


Masks = Callable[[Sequence[np.ndarray]], Iterable[np.ndarray]]
"""From pictures ``uint8`` (256, 256, 3) to the probability of persons in each, float32 (256, 256)."""


def _on_cpu(file: Path, resources: Resources) -> Masks:
    networks = Pool(file, resources.threads)

    def mask(network: LiteRt, picture: np.ndarray) -> np.ndarray:
        return network(picture / np.float32(255))[1, _PX, _PX, 1][0, :, :, 0]

    return lambda pictures: networks.map(mask, pictures)


def _on_gpu(file: Path, resources: Resources) -> Masks:
    import torch

    from view_extractors.networks.tflite import TfliteModule

    class Selfie(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self._network = TfliteModule(file)

        def forward(self, pictures_BHW3: torch.Tensor) -> torch.Tensor:
            (mask_BHW1,) = self._network(pictures_BHW3 / 255)
            result: torch.Tensor = mask_BHW1[..., 0]
            return result

    return OnGpu(Selfie(), resources, _BYTES_PER_PIXEL)
