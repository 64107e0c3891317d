from __future__ import annotations

import numpy as np
import pytest

from cocon.config.schema import PoseExtraction
from view_extractors.networks import devices
from view_extractors.networks.persons import Persons
from view_extractors.pose.persons import PersonPose, keypoint_certainty, pose_array, with_certainty


def test_keypoints_are_fractions_weighted_by_the_person():
    keypoints = np.tile(np.float32([[[50, 30, 0.5]], [[100, 60, 1.0]]]), (1, 17, 1))
    found = pose_array(Persons(np.zeros((2, 4)), np.float32([1.0, 0.8]), keypoints), (120, 200))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:, 3], [[0.25, 0.25, 0.5], [0.5, 0.5, 0.8]], rtol=1e-6)
    np.testing.assert_array_equal(keypoints[0, 0], [50, 30, 0.5])


def test_frames_without_persons():
    nobody = Persons(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 17, 3), np.float32))

    class Pose(PersonPose):
        backend = "test"

    pose = Pose(PoseExtraction())
    pose.start(40, 60)
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


def test_certainty_on_a_gpu_is_the_same(monkeypatch):
    """Its path, on the CPU."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(0, 5, (3, 17, 56, 56)).astype(np.float32))
    boxes = torch.tensor([[10.0, 20, 40, 100], [0, 0, 6, 8], [5, 5, 5, 5]])
    points = boxes[:, None, :2] + torch.from_numpy(rng.uniform(0, 6, (3, 17, 2)).astype(np.float32))
    expected = with_certainty(logits, boxes, points)
    np.testing.assert_array_equal(expected[:, :, :2], points)
    monkeypatch.setattr(devices, "_GPUS", ("cpu",))
    found = with_certainty(logits, boxes, points)
    assert found.dtype == expected.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-6)
    assert with_certainty(logits[:0], boxes[:0], points[:0]).shape == (0, 17, 3)
