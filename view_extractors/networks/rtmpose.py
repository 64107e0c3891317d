"""RTMPose: 17 keypoints of every person in a frame, top-down.

Jiang et al., "RTMPose: Real-time multi-person pose estimation based on MMPose" (2023), in MMPose's
implementation, with its published weights, trained on seven data sets. A detector finds the persons; each is
cut out as 256 x 192 pixels, and for each keypoint the network gives one score per half pixel along x and one
along y.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from cocon.config.schema import MmposeParameters
from view_extractors.base import Resources, SharedNetwork
from view_extractors.networks.devices import at_once, half_precision, is_gpu, torch_device, upload
from view_extractors.networks.openmmlab import OpenMMLabNetwork, import_packages
from view_extractors.networks.persons import Persons
from view_extractors.networks.resizing import cut_out
from view_extractors.networks.rtmdet import Boxes, Rtmdet

if TYPE_CHECKING:
    import torch

#: width and height of the crop, px
CROP_PX = (192, 256)
#: the crop is larger than the person's box by this factor
MARGIN = 1.25
#: scores per px of the crop
BINS_PER_PX = 2
#: memory for a crop: tensors take 6 MB in half precision (counted on a CPU), and convolutions need room
_BYTES = 16 << 20


class RtmPose(SharedNetwork):
    """The detector and the pose network.

    Raises:
        CoConError: mmpose is not installed, or the weights are not available.
    """

    weights = "OpenMMLab: RTMPose body7 2023-05-04, RTMDet COCO 2022"

    def __init__(self, options: MmposeParameters, resources: Resources) -> None:
        import_packages()
        self._options = options
        self._device = torch_device(resources)
        size = options.model.removeprefix("rtmpose-")
        config = f"body_2d_keypoint/rtmpose/body8/rtmpose-{size}_8xb256-420e_body8-256x192.py"
        self._network = OpenMMLabNetwork("mmpose", config, options.model, self._device)
        self._detector: Rtmdet | None = None
        if options.detector != "frame":
            size = options.detector.removeprefix("rtmdet-")
            self._detector = Rtmdet(size, options.detection_score, options.persons, self._device)

    def start(self) -> None:
        """Start a new video; frames are independent of each other."""

    def infer(self, frames: Sequence[np.ndarray]) -> list[Persons]:
        """The persons in RGB frames of one size, with keypoints."""
        source = upload(frames, self._device) if is_gpu(self._device) else frames
        found = list(self._detector(source)) if self._detector else list(map(whole_frame, frames))
        maps = [[crop_to_frame(box) for box in boxes.boxes_P4] for boxes in found]
        keypoints = iter(self._keypoints(Crops(source, maps)))
        return [
            self._persons(boxes, [in_frame(next(keypoints), m) for m in of_frame])
            for boxes, of_frame in zip(found, maps, strict=True)
        ]

    def _keypoints(self, crops: Crops) -> np.ndarray:
        """Per crop (17, 3): x, y in pixels of the crop, and a score."""
        import torch

        step = at_once(self._device, _BYTES)
        module: Any = self._network.module
        parts = [torch.zeros(0, 17, 3, device=self._device)]
        with torch.inference_mode():
            for start in range(0, len(crops), step):
                input_BCHW = self._network.normalise(crops[start : start + step])
                with half_precision(self._device):
                    features = module.backbone(input_BCHW)
                # The head is small, and the places of its maxima are the result.
                parts.append(read_bins(*module.head([level_BCHW.float() for level_BCHW in features])))
            result: np.ndarray = torch.cat(parts).cpu().numpy()
        return result

    def _persons(self, boxes: Boxes, keypoints: Sequence[np.ndarray]) -> Persons:
        keypoints_PJ3 = np.array(keypoints, np.float32).reshape(-1, 17, 3)
        sure_P = keypoints_PJ3[:, :, 2].mean(axis=1) >= self._options.score
        return Persons(boxes.boxes_P4[sure_P], boxes.scores_P[sure_P], keypoints_PJ3[sure_P])


class Crops:
    """The crops of all frames in a row, cut out as they are asked for.

    Args:
        frames: RGB, ``uint8``: (H, W, 3) each, or (B, 3, H, W) on the device.
        maps: of the persons of each frame, see :func:`crop_to_frame`.
    """

    def __init__(
        self, frames: Sequence[np.ndarray] | torch.Tensor, maps: Sequence[Sequence[np.ndarray]]
    ) -> None:
        self._frames = frames
        self._crops = [(index, m) for index, of_frame in enumerate(maps) for m in of_frame]

    def __len__(self) -> int:
        return len(self._crops)

    def __getitem__(self, part: slice) -> Sequence[np.ndarray] | torch.Tensor:
        """Some of them: ``uint8`` (256, 192, 3) each, or on the device float32 (N, 3, 256, 192)."""
        import torch

        if isinstance(self._frames, torch.Tensor):
            index_N, maps_N23 = (np.stack(column) for column in zip(*self._crops[part], strict=True))
            return cut_out(self._frames, index_N, maps_N23, CROP_PX[::-1])
        return [cut(self._frames[index], m) for index, m in self._crops[part]]


def whole_frame(frame: np.ndarray) -> Boxes:
    """One person who fills the frame."""
    height, width = frame.shape[:2]
    return Boxes(np.array([[0, 0, width, height]], np.float32), np.ones(1, np.float32))


def crop_to_frame(box_4: np.ndarray) -> np.ndarray:
    """The 2 x 3 map from pixel indices of the crop to those of the frame.

    The crop's middle is the box's middle, taken as a pixel index, as in the networks' training.
    """
    size_2 = MARGIN * (box_4[2:] - box_4[:2])
    scale = max(*(size_2 / CROP_PX), 1e-6)
    shift_2 = (box_4[:2] + box_4[2:]) / 2 - scale * np.array(CROP_PX) / 2
    return np.column_stack([scale * np.eye(2), shift_2])


def cut(frame: np.ndarray, to_frame: np.ndarray) -> np.ndarray:
    """The crop, ``uint8`` (256, 192, 3); black outside the frame."""
    return cv2.warpAffine(frame, to_frame, CROP_PX, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


def read_bins(x_BJW: torch.Tensor, y_BJH: torch.Tensor) -> torch.Tensor:
    """Keypoints (B, J, 3) from the scores along x and y: the places of the maxima, and the lower of both.

    Coordinates are pixel indices of the crop; scores are cut off at 0 and 1.
    """
    import torch

    x_score_BJ, x_BJ = x_BJW.max(dim=-1)
    y_score_BJ, y_BJ = y_BJH.max(dim=-1)
    score_BJ = x_score_BJ.minimum(y_score_BJ).clamp(0, 1)
    return torch.stack([x_BJ / BINS_PER_PX, y_BJ / BINS_PER_PX, score_BJ], dim=-1)


def in_frame(keypoints_J3: np.ndarray, to_frame: np.ndarray) -> np.ndarray:
    """Keypoints of a crop as px of the frame, with the corner of the first pixel at (0, 0)."""
    points_J2 = keypoints_J3[:, :2] @ to_frame[:, :2].T + to_frame[:, 2] + 0.5
    return np.column_stack([points_J2, keypoints_J3[:, 2]])
