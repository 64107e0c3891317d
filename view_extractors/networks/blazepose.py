"""BlazePose: pose and person mask of one person per frame, on a CPU.

Bazarevsky et al., "BlazePose: On-device real-time body pose tracking" (2020). A detector finds the hips
and the size of the most prominent person in a 224-pixel picture; a second network reads an upright
256-pixel crop around them and gives 33 landmarks, heatmaps to refine them, and a mask. The crop of the
next frame comes from the landmarks of this one; the detector runs again only when the person is lost.
The networks are the two TensorFlow Lite files of MediaPipe 0.10.21 (Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from cocon import assets
from view_extractors.base import Resources, SharedNetwork
from view_extractors.networks.litert import LiteRt

DETECTOR_PX = 224
CROP_PX = 256
HEATMAP_PX = 64
#: the crop's side, in units of the circle that the networks draw around the body
CROP_MARGIN = 1.25
#: half the window, in heatmap pixels, in which a landmark is refined
REFINE_RADIUS = 3
MINIMUM_SCORE = 0.5
#: COCO keypoint -> landmark of BlazePose
COCO_LANDMARKS = (0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)
#: two more landmarks: the centre of the next crop and a point on its circle
CENTRE_AND_EDGE = (33, 34)
LANDMARKS = 39


@dataclass(frozen=True)
class Person:
    """One person in one frame.

    Attributes:
        keypoints: float32 (17, 3), COCO keypoints as (x px, y px, score); the centre of the first pixel is
            at (0.5, 0.5). The score is P(visible) * P(inside the crop).
        mask_logits: float32 (256, 256), in the crop.
        crop_to_frame: 2 x 3 affine map from the crop's pixels to the frame's.
    """

    keypoints: np.ndarray
    mask_logits: np.ndarray
    crop_to_frame: np.ndarray


@dataclass(frozen=True)
class RotatedSquare:
    """A rotated square in the frame: centre (px), side (px), and the rotation that makes it upright."""

    centre: np.ndarray
    side: float
    angle: float

    @classmethod
    def around(cls, centre: np.ndarray, edge: np.ndarray) -> RotatedSquare | None:
        """The crop of a body circle: ``edge`` lies on it, above the head. None if the circle is a point."""
        x, y = edge - centre
        radius = float(np.hypot(x, y))
        if not np.isfinite(radius) or radius < 1:
            return None
        return cls(centre, 2 * CROP_MARGIN * radius, float(np.arctan2(x, -y)))

    @property
    def to_frame(self) -> np.ndarray:
        """2 x 3 affine map from crop pixels to frame pixels (corners at integers in both)."""
        scale = self.side / CROP_PX
        cos, sin = scale * np.cos(self.angle), scale * np.sin(self.angle)
        turn = np.array([[cos, -sin], [sin, cos]])
        shift = self.centre - turn @ np.full(2, CROP_PX / 2)
        return np.column_stack([turn, shift])


class BlazePose(SharedNetwork):
    """The two networks, and the crop that tracks the person from frame to frame.

    Raises:
        AssetError: ai-edge-litert is not installed, or the weights cannot be fetched.
    """

    weights = "mediapipe 0.10.21: pose_detection.tflite, pose_landmark_full.tflite"

    def __init__(self, options: None, resources: Resources) -> None:
        self._detector = LiteRt(assets.fetch("blazepose_detector"), resources.threads)
        self._landmarks = LiteRt(assets.fetch("blazepose_landmarks"), resources.threads)
        self._anchors_A2 = _anchors()
        self._crop: RotatedSquare | None = None

    def start(self) -> None:
        """Reset the tracked person, at the start of a video."""
        self._crop = None

    def infer(self, frames: Sequence[np.ndarray]) -> list[Person | None]:
        """Find the person in consecutive RGB frames; None where there is no person."""
        return [self._track(frame) for frame in frames]

    def _track(self, frame: np.ndarray) -> Person | None:
        person = self._look(frame, self._crop)
        return person or self._look(frame, self._detect(frame))

    def _detect(self, frame: np.ndarray) -> RotatedSquare | None:
        """The crop around the most certain detection, averaged over its neighbours."""
        height, width = frame.shape[:2]
        scale = DETECTOR_PX / max(height, width)
        border = (DETECTOR_PX - scale * np.array([width, height])) / 2
        picture = _warp(frame, np.column_stack([np.eye(2) / scale, -border / scale]), DETECTOR_PX)
        outputs = self._detector(picture / np.float32(127.5) - 1)
        boxes_A12, score_A = outputs[1, 2254, 12][0], sigmoid(outputs[1, 2254, 1][0, :, 0])
        best = int(score_A.argmax())
        if score_A[best] < MINIMUM_SCORE:
            return None
        centre_A2 = boxes_A12[:, :2] / DETECTOR_PX + self._anchors_A2
        near_A = np.linalg.norm(centre_A2 - centre_A2[best], axis=1) < 0.1
        near_A &= score_A >= max(MINIMUM_SCORE, 0.8 * score_A[best])
        # Of the four keypoints in a box, the first is the hips' centre, the second a point of the circle.
        points_A22 = boxes_A12[near_A, 4:8].reshape(-1, 2, 2) + DETECTOR_PX * self._anchors_A2[near_A, None]
        points_22 = np.average(points_A22, axis=0, weights=score_A[near_A])
        return RotatedSquare.around(*((points_22 - border) / scale))

    def _look(self, frame: np.ndarray, crop: RotatedSquare | None) -> Person | None:
        """Read the landmarks and the mask in ``crop``, and place the crop of the next frame."""
        self._crop = None
        if crop is None:
            return None
        picture = _warp(frame, crop.to_frame, CROP_PX)
        outputs = self._landmarks(picture / np.float32(255))
        if outputs[1, 1][0, 0] < MINIMUM_SCORE:
            return None
        landmarks_L5 = outputs[1, 195].reshape(LANDMARKS, 5)
        wanted = [*COCO_LANDMARKS, *CENTRE_AND_EDGE]
        points_L2 = refine(landmarks_L5[wanted, :2], outputs[1, 64, 64, 39][0][:, :, wanted])
        points_L2 = points_L2 @ crop.to_frame[:, :2].T + crop.to_frame[:, 2]
        scores = sigmoid(landmarks_L5[list(COCO_LANDMARKS), 3:]).prod(axis=1)
        self._crop = RotatedSquare.around(*points_L2[-2:])
        keypoints_J3 = np.column_stack([points_L2[:-2], scores]).astype(np.float32)
        return Person(keypoints_J3, outputs[1, 256, 256, 1][0, :, :, 0], crop.to_frame)


def refine(points_L2: np.ndarray, heatmaps_HWL: np.ndarray) -> np.ndarray:
    """Move each landmark (crop px) to the centre of mass of its heatmap, if the heatmap shows it.

    Heatmaps are logits (64, 64, L). Only the 7 x 7 of their pixels around the landmark count, and only when
    one of them reaches a probability of .5; else the landmark stays where it is.
    """
    cell = CROP_PX // HEATMAP_PX
    x_L1, y_L1 = np.floor(points_L2 / cell).astype(int).T[..., None]
    reach = np.arange(-REFINE_RADIUS, REFINE_RADIUS + 1)
    columns_LK, rows_LK = x_L1 + reach, y_L1 + reach
    index_L11 = np.arange(len(points_L2))[:, None, None]
    last = HEATMAP_PX - 1
    window_LKK = heatmaps_HWL[
        rows_LK.clip(0, last)[:, :, None], columns_LK.clip(0, last)[:, None, :], index_L11
    ]
    inside_LKK = (rows_LK == rows_LK.clip(0, last))[:, :, None] & (columns_LK == columns_LK.clip(0, last))[
        :, None, :
    ]
    weight_LKK = sigmoid(window_LKK) * inside_LKK
    mass_L = np.maximum(weight_LKK.sum(axis=(1, 2)), 1e-9)
    x_L = cell * (weight_LKK.sum(axis=1) * columns_LK).sum(axis=1) / mass_L
    y_L = cell * (weight_LKK.sum(axis=2) * rows_LK).sum(axis=1) / mass_L
    centre_inside_L = inside_LKK[:, REFINE_RADIUS, REFINE_RADIUS]
    seen_L = centre_inside_L & (weight_LKK.max(axis=(1, 2)) >= MINIMUM_SCORE)
    return np.where(seen_L[:, None], np.stack([x_L, y_L], axis=1), points_L2)


def _anchors() -> np.ndarray:
    """Centres of the detector's anchors, float64 (2254, 2), as fractions of its picture."""
    centres = []
    for stride, per_cell in ((8, 2), (16, 2), (32, 6)):
        cells = DETECTOR_PX // stride
        y, x = (np.mgrid[:cells, :cells] + 0.5) / cells
        centres.append(np.repeat(np.stack([x, y], -1).reshape(-1, 2), per_cell, axis=0))
    return np.concatenate(centres)


def _warp(frame: np.ndarray, to_frame: np.ndarray, size: int) -> np.ndarray:
    """Sample a float32 picture (size, size, 3); black outside the frame."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(frame, pixel_centres(to_frame), (size, size), flags=flags).astype(np.float32)


def pixel_centres(affine: np.ndarray) -> np.ndarray:
    """Convert a map for pixel corners at integers into OpenCV's, for pixel centres at integers."""
    shifted = affine.copy()
    shifted[:, 2] += affine[:, :2] @ np.full(2, 0.5) - 0.5
    return shifted


def sigmoid(x: np.ndarray) -> np.ndarray:
    """The logistic function, without overflow."""
    result: np.ndarray = 1 / (1 + np.exp(-np.clip(x, -80, 80)))
    return result
