"""Masks of persons, and their union at the stored size.

A backend is a network whose results are :class:`~view_extractors.networks.persons.Persons` with masks, and a
subclass of :class:`PersonMask` that names it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cocon.config.schema import MaskExtraction
from view_extractors.base import Extractor
from view_extractors.networks.persons import Persons


class PersonMask(Extractor):
    """Union of the persons' masks; zero everywhere in frames without one."""

    view = "mask"
    section = MaskExtraction

    def process(self, batch: Sequence[Persons]) -> list[Persons]:
        """The persons, unchanged: they are drawn when they are stored."""
        return list(batch)

    def store(self, result: Persons) -> bytes:
        """Draw the masks at the stored size, and encode them."""
        return self.encode(mask_picture(result, self.frame_size, self.stored_size))


def mask_picture(persons: Persons, frame_size: tuple[int, int], stored_size: tuple[int, int]) -> np.ndarray:
    """The union by confidence: the maximum over persons of score times probability.

    A stored pixel holds the mean over its area of the bilinearly interpolated masks, which fade to zero
    within half a cell outside of their boxes.

    Args:
        persons: with masks.
        frame_size: (height, width) of the frame, px.
        stored_size: (h, w) of the picture, px.

    Returns:
        ``uint8`` (h, w, 1); 255 is a probability of 1.
    """
    assert persons.masks_P is not None
    height, width = stored_size
    scale_4 = np.array([width / frame_size[1], height / frame_size[0]] * 2)
    union_HW = np.zeros(stored_size)
    for box, score, mask_MN in zip(
        persons.boxes_P4 * scale_4, persons.scores_P, persons.masks_P, strict=True
    ):
        x1, y1, x2, y2 = box
        rows_HM = _coverage(y1, y2, mask_MN.shape[0], height)
        columns_WN = _coverage(x1, x2, mask_MN.shape[1], width)
        np.maximum(union_HW, score * (rows_HM @ mask_MN @ columns_WN.T), out=union_HW)
    return np.rint(255 * union_HW).astype(np.uint8)[:, :, None]


def _coverage(start: float, stop: float, cells: int, pixels: int) -> np.ndarray:
    """How much of each pixel [i, i + 1] comes from each cell of [start, stop], (pixels, cells).

    A cell's weight is a tent: 1 at its centre, 0 at the centres of its neighbours.
    """
    cell = max((stop - start) / cells, 1e-9)
    edges_E1 = (np.arange(pixels + 1)[:, None] - start) / cell - 0.5
    # t is the distance from the cell's centre; the weight left of it is the integral of the tent.
    t_EM = np.clip(edges_E1 - np.arange(cells), -1, 1)
    left_of_EM = 0.5 + t_EM - 0.5 * t_EM * np.abs(t_EM)
    result: np.ndarray = cell * np.diff(left_of_EM, axis=0)
    return result
