from __future__ import annotations

import cv2
import numpy as np
import pytest

from cocon.config.schema import MaskExtraction, PoseExtraction
from cocon.shards.codecs import decode
from view_extractors.persons import (
    PersonMask,
    PersonPose,
    Persons,
    keypoint_certainty,
    mask_picture,
    pose_array,
)


def persons(boxes, scores=None, masks=None, keypoints=None):
    boxes = np.float32(boxes).reshape(-1, 4)
    scores = np.ones(len(boxes), np.float32) if scores is None else np.float32(scores)
    return Persons(boxes, scores, keypoints, masks)


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


def test_keypoints_are_fractions_weighted_by_the_person():
    keypoints = np.tile(np.float32([[[50, 30, 0.5]], [[100, 60, 1.0]]]), (1, 17, 1))
    found = pose_array(persons(np.zeros((2, 4)), [1.0, 0.8], keypoints=keypoints), (120, 200))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:, 3], [[0.25, 0.25, 0.5], [0.5, 0.5, 0.8]], rtol=1e-6)
    np.testing.assert_array_equal(keypoints[0, 0], [50, 30, 0.5])


def test_frames_without_persons():
    nobody = persons([], masks=[], keypoints=np.zeros((0, 17, 3), np.float32))

    class Mask(PersonMask):
        backend = "test"

    class Pose(PersonPose):
        backend = "test"

    mask, pose = Mask(MaskExtraction(short_side=10)), Pose(PoseExtraction())
    mask.start(40, 60)
    pose.start(40, 60)
    (stored,) = map(mask.store, mask.process([nobody]))
    np.testing.assert_array_equal(decode(stored, 1), np.zeros((10, 15, 1)))
    (stored,) = map(pose.store, pose.process([nobody]))
    assert stored.shape == (0, 17, 3)


def test_certainty_is_the_expected_similarity():
    """Against a slow sum over cells, with COCO's constants written out."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (2, 17, 8, 6)).astype(np.float32)
    boxes = np.float32([[10, 20, 40, 100], [0, 0, 6, 8]])
    points = (boxes[:, None, :2] + rng.uniform(0, 6, (2, 17, 2))).astype(np.float32)
    sigmas = [0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072]
    sigmas += [0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089]
    expected = np.zeros((2, 17))
    for p, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
        for j, sigma in enumerate(sigmas):
            probability = np.exp(logits[p, j]) / np.exp(logits[p, j]).sum()
            for row in range(8):
                for column in range(6):
                    x = x1 + (column + 0.5) * (x2 - x1) / 6
                    y = y1 + (row + 0.5) * (y2 - y1) / 8
                    squared = (x - points[p, j, 0]) ** 2 + (y - points[p, j, 1]) ** 2
                    area = 0.53 * (x2 - x1) * (y2 - y1)
                    similarity = np.exp(-squared / (2 * area * (2 * sigma) ** 2))
                    expected[p, j] += probability[row, column] * similarity
    np.testing.assert_allclose(keypoint_certainty(logits, boxes, points), expected, rtol=1e-4)


def test_certainty_of_a_sharp_a_blurred_and_an_undecided_heatmap():
    y, x = np.mgrid[:56, :56]
    distance = (x - 27.5) ** 2 + (y - 27.5) ** 2
    heatmaps = [np.where(distance < 1, 1000.0, 0.0), -distance / (2 * 3.0**2), np.zeros((56, 56))]
    logits = np.float32(heatmaps)[:, None].repeat(17, axis=1)
    boxes = np.float32([[0, 0, 112, 112]] * 3)
    sharp, blurred, undecided = keypoint_certainty(logits, boxes, np.full((3, 17, 2), 56, np.float32))
    assert sharp.min() > 0.9
    eye, hip = 1, 11
    assert blurred[eye] < 0.4, "an eye can be told more exactly"
    assert blurred[hip] > 0.8
    assert undecided.max() < 0.2
    shifted = keypoint_certainty(logits + 7, boxes, np.full((3, 17, 2), 56))
    np.testing.assert_allclose(shifted, [sharp, blurred, undecided], rtol=1e-4)


def test_certainty_without_persons():
    nobody = keypoint_certainty(np.zeros((0, 17, 56, 56)), np.zeros((0, 4)), np.zeros((0, 17, 2)))
    assert nobody.shape == (0, 17)
