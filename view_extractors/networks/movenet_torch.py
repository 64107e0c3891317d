"""MoveNet MultiPose Lightning in torch: whole batches at once, on any device.

The operators of the published file that select persons work on a single picture. Here the file's network
computes the maps, and the later steps are reimplemented for batches, in the order of the file: the best
maxima of the map of centres are persons, each is led from its centre to 17 keypoints, and each of these to
the best place near it in the map of its kind and inside the person's box.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from cocon.views import COCO_KEYPOINTS
from view_extractors.networks.movenet import PERSONS
from view_extractors.networks.tflite import TfliteModule

_JOINTS = len(COCO_KEYPOINTS)
#: what :func:`read_maps` reads, by name in the file
_MAPS = (
    "center_0/conv2d_4/BiasAdd",
    "box_offset_0/conv2d_6/BiasAdd",
    "box_scale_0/conv2d_5/BiasAdd",
    "kpt_heatmap_0/conv2d_7/BiasAdd",
    "kpt_offset_0/conv2d_9/BiasAdd",
    "kpt_regress_0/conv2d_8/BiasAdd",
)
#: side of the square in which a centre must be the maximum, cells
_NEIGHBOURHOOD = 5
#: how much lower than the maximum around it a centre may be; the file's constants are in half precision
_EQUAL = float(np.float16(1e-6))
#: width of the weight around a predicted place, as a fraction of the shorter side of the map
_NEAR = float(np.float16(0.3))
#: keypoints below it do not count for the score of the person
_SURE = float(np.float16(0.127))


class MoveNetMultiPose(nn.Module):
    """The network of the file at ``path``.

    Raises:
        AssetError: it is another file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._maps = TfliteModule(path, _MAPS)

    @torch.inference_mode()
    def forward(self, pictures_BHW3: torch.Tensor) -> torch.Tensor:
        """Persons in RGB pictures with values 0 .. 255, whose sides are multiples of 32.

        Returns:
            float32 (B, 6, 56), as the file's own output: 17 times y, x and a score, then the box as y1, x1,
            y2, x2, then the person's score; coordinates are fractions of the picture. Best first.
        """
        return read_maps(*self._maps(pictures_BHW3))


def read_maps(
    centre_BHW1: torch.Tensor,
    offset_BHW2: torch.Tensor,
    size_BHW2: torch.Tensor,
    heat_BHWJ: torch.Tensor,
    heat_offset_BHWD: torch.Tensor,
    way_BHWD: torch.Tensor,
) -> torch.Tensor:
    """Persons (B, 6, 56) from maps of h x w cells, y before x in all of them.

    Args:
        centre_BHW1: logits of there being the centre of a person.
        offset_BHW2: from the cell to the box's centre, cells.
        size_BHW2: of the box, cells.
        heat_BHWJ: logits of there being a keypoint of a kind.
        heat_offset_BHWD: from the cell to the keypoint of each kind, (17, 2) in one axis, cells.
        way_BHWD: from a person's centre to each keypoint, alike.
    """
    height, width = centre_BHW1.shape[1:3]
    score_BP, cell_BP = _centres(centre_BHW1.sigmoid()[..., 0])
    cell_BP2 = torch.stack([cell_BP.div(width, rounding_mode="floor"), cell_BP % width], dim=-1)
    limit_2 = torch.tensor([height, width], device=cell_BP.device)

    middle_BP2 = cell_BP2 + _at(offset_BHW2, cell_BP)
    half_BP2 = 0.5 * _at(size_BHW2, cell_BP).relu()
    box_BP22 = torch.stack([middle_BP2 - half_BP2, middle_BP2 + half_BP2], dim=2).minimum(limit_2).relu()

    led_to_BPJ2 = cell_BP2[:, :, None] + _at(way_BHWD, cell_BP).unflatten(-1, (_JOINTS, 2))
    heat_BPJN = _near(heat_BHWJ.sigmoid(), led_to_BPJ2, box_BP22)
    place_BPJ = heat_BPJN.argmax(dim=-1)
    # The score at the place is the highest that any person gives it.
    keypoint_score_BPJ = heat_BPJN.amax(dim=1).gather(2, place_BPJ.transpose(1, 2)).transpose(1, 2)
    place_BPJ2 = torch.stack([place_BPJ.div(width, rounding_mode="floor"), place_BPJ % width], dim=-1)
    offset_BNJ2 = heat_offset_BHWD.flatten(1, 2).unflatten(-1, (_JOINTS, 2))
    index_BPJ2 = place_BPJ[..., None].expand(-1, -1, -1, 2)
    keypoints_BPJ2 = place_BPJ2 + offset_BNJ2.gather(1, index_BPJ2)

    sure_BPJ = keypoint_score_BPJ > _SURE
    mean_BP = (sure_BPJ * keypoint_score_BPJ).sum(-1) / sure_BPJ.sum(-1).clamp(min=1)
    keypoints_BPJ3 = torch.cat([keypoints_BPJ2 / limit_2, keypoint_score_BPJ[..., None]], dim=-1)
    box_BP4 = (box_BP22 / limit_2).clamp(max=1).flatten(2)
    return torch.cat([keypoints_BPJ3.flatten(2), box_BP4, (score_BP * mean_BP)[..., None]], dim=-1)


def _centres(heat_BHW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores and numbers of the cells (B, 6) of the best maxima; of equal ones the first in the map."""
    highest_BHW = F.max_pool2d(heat_BHW[:, None], _NEIGHBOURHOOD, 1, _NEIGHBOURHOOD // 2)[:, 0]
    maxima_BHW = torch.where(highest_BHW - heat_BHW < _EQUAL, heat_BHW, 0)
    score_BN, cell_BN = maxima_BHW.flatten(1).sort(dim=1, descending=True, stable=True)
    return score_BN[:, :PERSONS], cell_BN[:, :PERSONS]


def _at(map_BHWD: torch.Tensor, cell_BP: torch.Tensor) -> torch.Tensor:
    """The map's values (B, P, D) in the cells."""
    index_BPD = cell_BP[..., None].expand(-1, -1, map_BHWD.shape[-1])
    return map_BHWD.flatten(1, 2).gather(1, index_BPD)


def _near(heat_BHWJ: torch.Tensor, led_to_BPJ2: torch.Tensor, box_BP22: torch.Tensor) -> torch.Tensor:
    """The heat of all N cells for each person's keypoints (B, P, J, N): near where they are, in the box."""
    height, width = heat_BHWJ.shape[1:3]
    cell_N = torch.arange(height * width, device=heat_BHWJ.device)
    y_N, x_N = cell_N.div(width, rounding_mode="floor"), cell_N % width
    distance_BPJN = (y_N - led_to_BPJ2[..., :1]).square() + (x_N - led_to_BPJ2[..., 1:]).square()
    weight_BPJN = (-distance_BPJN / (_NEAR * min(height, width))).exp()
    (y1, x1), (y2, x2) = (box_BP22[:, :, i].unbind(-1) for i in (0, 1))
    inside_BPN = (
        (y_N >= y1[..., None]) & (y_N < y2[..., None]) & (x_N >= x1[..., None]) & (x_N < x2[..., None])
    )
    heat_B1JN = heat_BHWJ.flatten(1, 2).transpose(1, 2)[:, None]
    return heat_B1JN * weight_BPJN * inside_BPN[:, :, None]
