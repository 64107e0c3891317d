from __future__ import annotations

import cv2
import numpy as np
import pytest

from cocon.config.schema import MaskExtraction
from cocon.shards.codecs import decode
from view_extractors.mask.persons import PersonMask, mask_picture
from view_extractors.networks.persons import Persons


def persons(boxes, scores=None, masks=None):
    boxes = np.float32(boxes).reshape(-1, 4)
    scores = np.ones(len(boxes), np.float32) if scores is None else np.float32(scores)
    return Persons(boxes, scores, masks_P=masks)


def test_full_mask_covers_exactly_its_box():
    # Twice the stored size: the box is (10, 5)-(30, 25) as stored.
    found = persons([[20, 10, 60, 50]], masks=[np.ones((40, 40), np.float32)])
    mask = mask_picture(found, (80, 100), (40, 50))[..., 0]
    assert mask.shape == (40, 50)
    assert mask.dtype == np.uint8
    assert mask[6:24, 11:29].min() == 255
    assert mask.sum() / 255 == pytest.approx(20 * 20, rel=1e-3), "the area is kept"
    row, column = mask.mean(axis=1), mask.mean(axis=0)
    np.testing.assert_array_equal(row[:30], row[:30][::-1])
    np.testing.assert_array_equal(column[:40], column[:40][::-1])
    assert mask[:4].max() == mask[26:].max() == mask[:, :9].max() == mask[:, 31:].max() == 0


@pytest.mark.parametrize(
    "box", [[3.3, 4.7, 41.2, 30.9], [-9, -5, 20, 15], [30, 20, 71, 55], [10, 10, 14, 13]]
)
@pytest.mark.parametrize("cells", [(28, 28), (7, 5)])
def test_agrees_with_fine_sampling(box, cells):
    """Bilinear interpolation at 16 x 16 points of each pixel."""
    mask_MN = np.random.default_rng(0).random(cells).astype(np.float32)
    height, width, fine = 40, 60, 16
    x1, y1, x2, y2 = box
    y = ((np.arange(height * fine) + 0.5) / fine - y1) / (y2 - y1) * cells[0] - 0.5
    x = ((np.arange(width * fine) + 0.5) / fine - x1) / (x2 - x1) * cells[1] - 0.5
    grid_x, grid_y = np.meshgrid(np.float32(x), np.float32(y))
    sampled = cv2.remap(mask_MN, grid_x, grid_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    expected = 255 * sampled.reshape(height, fine, width, fine).mean(axis=(1, 3))
    found = mask_picture(persons([box], masks=[mask_MN]), (height, width), (height, width))[..., 0]
    np.testing.assert_allclose(found, expected, atol=2.5)


def test_union_takes_the_more_certain_person():
    full = np.ones((50, 50), np.float32)
    both = persons([[0, 0, 30, 20], [10, 0, 40, 20]], [0.9, 0.6], [full, full])
    mask = mask_picture(both, (20, 40), (20, 40))[10, :, 0]
    np.testing.assert_allclose(mask[[5, 20, 35]], [0.9 * 255, 0.9 * 255, 0.6 * 255], atol=0.5 + 1e-3)


def test_a_box_without_area_is_no_person():
    flat = persons([[10, 10, 10, 10], [5, 8, 4, 7]], masks=[np.ones((4, 4), np.float32)] * 2)
    assert mask_picture(flat, (20, 20), (20, 20)).max() == 0


def test_frames_without_persons():
    class Mask(PersonMask):
        backend = "test"

    mask = Mask(MaskExtraction(short_side=10))
    mask.start(40, 60)
    (stored,) = map(mask.store, mask.process([persons([], masks=[])]))
    np.testing.assert_array_equal(decode(stored, 1), np.zeros((10, 15, 1)))
