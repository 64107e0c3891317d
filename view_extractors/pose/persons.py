"""Keypoints of persons as the pose view stores them.

A backend is a network whose results are :class:`~view_extractors.networks.persons.Persons` with keypoints,
and a subclass of :class:`PersonPose` that names it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cocon.config.schema import PoseExtraction
from cocon.views import COCO_KEYPOINTS
from view_extractors.base import Extractor
from view_extractors.networks.devices import is_gpu
from view_extractors.networks.persons import Persons
from view_extractors.pose.smoothing import Tracks, smooth

if TYPE_CHECKING:
    import torch

#: how far annotators differ in a keypoint, as a fraction of the root of the person's area: sigma of COCO
_SIGMAS_J = (
    np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89], np.float32) / 1000
)
#: area of a person relative to that of the box, as is usual where there is no mask
_AREA = 0.53


class Pose(Extractor):
    """17 COCO keypoints of every person, smoothed along time with ``smoothing: one_euro``."""

    view = "pose"
    section = PoseExtraction
    codec = "keypoints"
    _tracks: Tracks = ()

    def start(self, height: int, width: int) -> None:
        """Start a new video, without tracks."""
        super().start(height, width)
        self._tracks = ()

    @abstractmethod
    def pose(self, result: Any) -> np.ndarray:
        """Keypoints as fractions of the frame, float32 (P, 17, 3), from the network's result for it."""

    def process(self, batch: Sequence[Any]) -> list[np.ndarray]:
        """Keypoints as fractions of the frame, float32 (P, 17, 3)."""
        poses = [self.pose(result) for result in batch]
        if self.settings.smoothing == "one_euro":
            poses, self._tracks = smooth(
                poses, self._tracks, self.frame_size, self.fps, self.settings.one_euro
            )
        return poses


class PersonPose(Pose):
    """17 COCO keypoints of every person; frames without a person have none."""

    def pose(self, result: Persons) -> np.ndarray:
        """See :func:`pose_array`."""
        return pose_array(result, self.frame_size)


def pose_array(persons: Persons, frame_size: tuple[int, int]) -> np.ndarray:
    """Keypoints as the pose view stores them.

    Args:
        persons: with keypoints.
        frame_size: (height, width) of the frame, px.

    Returns:
        ``float32`` (P, 17, 3): x and y as fractions of the frame, and the certainty of the keypoint times
        that of its person, which is the height of the keypoint's peak in the heatmap.
    """
    assert persons.keypoints_PJ3 is not None
    height, width = frame_size
    pose_PJ3 = persons.keypoints_PJ3.reshape(-1, len(COCO_KEYPOINTS), 3).astype(np.float32)
    pose_PJ3 *= np.array([1 / width, 1 / height, 1], np.float32)
    pose_PJ3[:, :, 2] *= persons.scores_P[:, None]
    return pose_PJ3


def keypoint_certainty(logits_PJMN: np.ndarray, boxes_P4: np.ndarray, points_PJ2: np.ndarray) -> np.ndarray:
    """How good keypoints are, expected from heatmaps that were trained with a softmax over their cells.

    The logits themselves have no meaning (a constant added to them does not change the softmax), and the
    probability of the best cell is small where annotators cannot place a keypoint to the cell. This is the
    expectation, over the softmax, of COCO's object keypoint similarity: exp(-d² / (2 area (2 sigma)²)) for a
    keypoint at distance d from its predicted position.

    Args:
        logits_PJMN: heatmaps of m x n equal cells of each box.
        boxes_P4: x1, y1, x2, y2, px.
        points_PJ2: predicted positions of the keypoints, px.

    Returns:
        float32 (P, J) in [0, 1].
    """
    rows, columns = logits_PJMN.shape[2:]
    x1_P, y1_P, x2_P, y2_P = boxes_P4.T
    x_PN = x1_P[:, None] + (x2_P - x1_P)[:, None] * (np.arange(columns) + 0.5) / columns
    y_PM = y1_P[:, None] + (y2_P - y1_P)[:, None] * (np.arange(rows) + 0.5) / rows
    area_P = np.maximum(_AREA * (x2_P - x1_P) * (y2_P - y1_P), 1e-9)
    tolerance_PJ1 = (2 * area_P[:, None] * (2 * _SIGMAS_J) ** 2)[:, :, None]
    likeness_PJN = np.exp(-((x_PN[:, None] - points_PJ2[:, :, :1]) ** 2) / tolerance_PJ1)
    likeness_PJM = np.exp(-((y_PM[:, None] - points_PJ2[:, :, 1:]) ** 2) / tolerance_PJ1)
    weight_PJMN = np.exp(logits_PJMN - logits_PJMN.max(axis=(2, 3), keepdims=True))
    expected_PJ = np.einsum("pjmn,pjm,pjn->pj", weight_PJMN, likeness_PJM, likeness_PJN, optimize=True)
    result: np.ndarray = (expected_PJ / weight_PJMN.sum(axis=(2, 3))).astype(np.float32)
    return result


def with_certainty(logits_PJMN: torch.Tensor, boxes_P4: torch.Tensor, points_PJ2: torch.Tensor) -> np.ndarray:
    """Keypoints with their :func:`keypoint_certainty`; on a GPU the heatmaps, 200 kB a person, stay there.

    Args:
        logits_PJMN: heatmaps, on the device.
        boxes_P4: x1, y1, x2, y2, px, on any device.
        points_PJ2: predicted positions of the keypoints, px, on the device.

    Returns:
        float32 (P, J, 3): x, y, certainty.
    """
    import torch

    if is_gpu(logits_PJMN.device):
        boxes_P4 = boxes_P4.to(logits_PJMN.device)
        scores_PJ = _certainty_in_torch(logits_PJMN, boxes_P4, points_PJ2)
        keypoints_PJ3: np.ndarray = torch.cat([points_PJ2, scores_PJ[:, :, None]], dim=2).cpu().numpy()
        return keypoints_PJ3
    points = points_PJ2.numpy()
    scores = keypoint_certainty(logits_PJMN.numpy(), boxes_P4.numpy(), points)
    return np.concatenate([points, scores[:, :, None]], axis=2)


def _certainty_in_torch(
    logits_PJMN: torch.Tensor, boxes_P4: torch.Tensor, points_PJ2: torch.Tensor
) -> torch.Tensor:
    """:func:`keypoint_certainty` on the device of the heatmaps."""
    import torch

    rows, columns = logits_PJMN.shape[2:]
    x1_P, y1_P, x2_P, y2_P = boxes_P4.T
    column_N, row_M = (torch.arange(n, device=logits_PJMN.device) + 0.5 for n in (columns, rows))
    x_PN = x1_P[:, None] + (x2_P - x1_P)[:, None] * column_N / columns
    y_PM = y1_P[:, None] + (y2_P - y1_P)[:, None] * row_M / rows
    area_P = (_AREA * (x2_P - x1_P) * (y2_P - y1_P)).clamp(min=1e-9)
    sigmas_J = torch.from_numpy(_SIGMAS_J).to(area_P.device)
    tolerance_PJ1 = (2 * area_P[:, None] * (2 * sigmas_J) ** 2)[:, :, None]
    likeness_PJN = (-((x_PN[:, None] - points_PJ2[:, :, :1]) ** 2) / tolerance_PJ1).exp()
    likeness_PJM = (-((y_PM[:, None] - points_PJ2[:, :, 1:]) ** 2) / tolerance_PJ1).exp()
    probability_PJMN = logits_PJMN.flatten(2).softmax(dim=2).view_as(logits_PJMN)
    expected_PJM = (probability_PJMN * likeness_PJN[:, :, None]).sum(dim=3)
    result_PJ: torch.Tensor = (expected_PJM * likeness_PJM).sum(dim=2)
    return result_PJ
