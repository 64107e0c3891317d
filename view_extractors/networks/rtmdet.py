"""RTMDet: boxes of the persons in a frame.

Lyu et al., "RTMDet: An empirical study of designing real-time object detectors" (2022), in MMDetection's
implementation, with its published weights for the 80 classes of COCO.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from view_extractors.networks.devices import at_once, half_precision, keep_float32
from view_extractors.networks.openmmlab import OpenMMLabNetwork
from view_extractors.networks.resizing import resized

if TYPE_CHECKING:
    import torch

PERSON = 0
#: the frame is scaled into a square of this side, px, and the rest is filled with grey
INPUT_PX = 640
GREY = 114
STRIDES = (8, 16, 32)
#: of two boxes that overlap by more than this (intersection over union), the better one is kept
OVERLAP = 0.65
#: layers that give logits and distances; a distance is a layer's output times the stride
_FLOAT32 = ("rtm_cls", "rtm_reg")
#: memory for a picture: tensors take 43 MB in half precision (counted on a CPU), and convolutions need room
_BYTES = 120 << 20


@dataclass(frozen=True)
class Boxes:
    """The P persons in one frame, best first.

    Attributes:
        boxes_P4: float32, x1, y1, x2, y2 in px of the frame; the first pixel's corner is at (0, 0).
        scores_P: float32, in [0, 1].
    """

    boxes_P4: np.ndarray
    scores_P: np.ndarray


class Rtmdet:
    """A person detector.

    Args:
        size: ``tiny`` or ``m``.
        score: boxes below this score are left out.
        persons: largest number of boxes per frame.
        device: where it runs.
    """

    def __init__(self, size: str, score: float, persons: int, device: torch.device) -> None:
        config = f"rtmdet/rtmdet_{size}_8xb32-300e_coco.py"
        self._network: Any = OpenMMLabNetwork("mmdet", config, f"rtmdet-{size}", device)
        keep_float32(self._network.module, _FLOAT32)
        self._score, self._persons, self._device = score, persons, device

    def __call__(self, frames: Sequence[np.ndarray] | torch.Tensor) -> Iterator[Boxes]:
        """The persons in RGB frames of one size: ``uint8`` (H, W, 3) each, or (B, 3, H, W) on the device."""
        step = at_once(self._device, _BYTES)
        for start in range(0, len(frames), step):
            yield from self._detect(frames[start : start + step])

    def _detect(self, frames: Sequence[np.ndarray] | torch.Tensor) -> list[Boxes]:
        import torch

        pictures: np.ndarray | torch.Tensor
        if isinstance(frames, torch.Tensor):
            height, width = frames.shape[2:]
            pictures, scale_2 = letterbox_on_device(frames)
        else:
            height, width = frames[0].shape[:2]
            pictures, scale_2 = letterbox(frames)
        with torch.inference_mode():
            module = self._network.module
            x_BCHW = self._network.normalise(pictures)
            with half_precision(self._device):
                scores_levels, distances_levels = module.bbox_head(module.extract_feat(x_BCHW))
            boxes_BA4, scores_BA = decode(scores_levels, distances_levels)
            boxes_BA4 = boxes_BA4 / torch.tensor(np.tile(scale_2, 2), device=boxes_BA4.device)
            limit_4 = torch.tensor([width, height] * 2, device=boxes_BA4.device)
            boxes_BA4 = boxes_BA4.clamp(min=0).minimum(limit_4)
            frame_S, place_S = (scores_BA >= self._score).nonzero(as_tuple=True)
            # What is sure in all frames leaves the device in one copy; the CPU suppresses these few boxes.
            sure_S6 = torch.cat(
                [boxes_BA4[frame_S, place_S], scores_BA[frame_S, place_S, None], frame_S[:, None]], dim=1
            ).cpu()
            return [self._best(sure_S6[sure_S6[:, 5] == frame, :5]) for frame in range(len(frames))]

    def _best(self, sure_A5: torch.Tensor) -> Boxes:
        from torchvision.ops import nms

        boxes_A4, scores_A = sure_A5[:, :4].contiguous(), sure_A5[:, 4].contiguous()
        kept_P = nms(boxes_A4, scores_A, OVERLAP)[: self._persons]
        return Boxes(boxes_A4[kept_P].numpy(), scores_A[kept_P].numpy())


def letterbox(frames: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Frames of one size in the upper left corner of the network's square.

    Returns:
        ``uint8`` (B, 640, 640, 3), and the scale in x and y, float32 (2,): px of the square per px of the
        frame.
    """
    height, width = frames[0].shape[:2]
    size = _size_in_square(height, width)
    pictures_BHWC = np.full((len(frames), INPUT_PX, INPUT_PX, 3), GREY, np.uint8)
    for picture, frame in zip(pictures_BHWC, frames, strict=True):
        picture[: size[0], : size[1]] = cv2.resize(frame, size[::-1], interpolation=cv2.INTER_LINEAR)
    return pictures_BHWC, np.array([size[1] / width, size[0] / height], np.float32)


def letterbox_on_device(pixels_BCHW: torch.Tensor) -> tuple[torch.Tensor, np.ndarray]:
    """:func:`letterbox` of ``uint8`` (B, 3, H, W) where they are: float32 (B, 3, 640, 640), and the scale."""
    height, width = pixels_BCHW.shape[2:]
    size = _size_in_square(height, width)
    picture_BCHW = resized(pixels_BCHW, size, by_area=False)
    square_BCHW = picture_BCHW.new_full((*picture_BCHW.shape[:2], INPUT_PX, INPUT_PX), GREY)
    square_BCHW[:, :, : size[0], : size[1]] = picture_BCHW
    return square_BCHW, np.array([size[1] / width, size[0] / height], np.float32)


def _size_in_square(height: int, width: int) -> tuple[int, int]:
    """Height and width of a frame whose longer side is the square's."""
    scale = INPUT_PX / max(height, width)
    return int(height * scale + 0.5), int(width * scale + 0.5)


def decode(
    scores_levels: Sequence[torch.Tensor], distances_levels: Sequence[torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Boxes and scores of persons at all A places of the three levels.

    Args:
        scores_levels: per level logits (B, 80, h, w).
        distances_levels: per level (B, 4, h, w): how far the box reaches from (column, row) times the stride
            to the left, up, right and down, px.

    Returns:
        x1, y1, x2, y2 (B, A, 4) in px of the network's square, and probabilities (B, A).
    """
    import torch

    boxes, scores = [], []
    for stride, logits_BCHW, distances_B4HW in zip(STRIDES, scores_levels, distances_levels, strict=True):
        rows, columns = (torch.arange(n, device=logits_BCHW.device) for n in logits_BCHW.shape[2:])
        y_HW, x_HW = torch.meshgrid(rows * stride, columns * stride, indexing="ij")
        left, up, right, down = distances_B4HW.unbind(1)
        box_BHW4 = torch.stack([x_HW - left, y_HW - up, x_HW + right, y_HW + down], dim=-1)
        boxes.append(box_BHW4.flatten(1, 2))
        scores.append(logits_BCHW[:, PERSON].sigmoid().flatten(1))
    return torch.cat(boxes, 1), torch.cat(scores, 1)
