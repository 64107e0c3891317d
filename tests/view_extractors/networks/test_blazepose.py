from __future__ import annotations

import builtins

import numpy as np
import pytest

from cocon.config.schema import MaskExtraction, PoseExtraction
from cocon.errors import AssetError
from cocon.shards.codecs import decode
from cocon.views import COCO_KEYPOINTS
from view_extractors.base import Resources
from view_extractors.mask.blazepose import BlazePoseMask
from view_extractors.networks.blazepose import (
    COCO_LANDMARKS,
    CROP_PX,
    BlazePose,
    Person,
    RotatedSquare,
    pixel_centres,
    refine,
)
from view_extractors.pose.blazepose import BlazePosePose

# The 33 landmarks in the order that MediaPipe documents.
LANDMARK_NAMES = """
nose left_eye_inner left_eye left_eye_outer right_eye_inner right_eye right_eye_outer left_ear right_ear
mouth_left mouth_right left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist left_pinky
right_pinky left_index right_index left_thumb right_thumb left_hip right_hip left_knee right_knee left_ankle
right_ankle left_heel right_heel left_foot_index right_foot_index
"""


def person(to_frame, logits=None, keypoints=None):
    logits = np.full((CROP_PX, CROP_PX), 20, np.float32) if logits is None else logits
    return Person(np.zeros((17, 3), np.float32) if keypoints is None else keypoints, logits, to_frame)


def test_landmarks_are_mapped_to_coco_by_name():
    names = LANDMARK_NAMES.split()
    assert tuple(names[index] for index in COCO_LANDMARKS) == COCO_KEYPOINTS


def test_upright_crop_is_a_scaled_shift():
    crop = RotatedSquare.around(np.array([100.0, 80.0]), np.array([100.0, 40.0]))
    assert crop.side == pytest.approx(2 * 1.25 * 40)
    corners = np.array([[0, 0, 1], [CROP_PX, CROP_PX, 1]]) @ crop.to_frame.T
    np.testing.assert_allclose(corners, [[50, 30], [150, 130]])


def test_crop_turns_a_lying_body_upright():
    # The head is to the right of the hips: up in the crop is right in the frame.
    crop = RotatedSquare.around(np.array([100.0, 80.0]), np.array([140.0, 80.0]))
    top_middle = crop.to_frame @ [CROP_PX / 2, 0, 1]
    np.testing.assert_allclose(top_middle, [150, 80], atol=1e-9)


@pytest.mark.parametrize("edge", [[100.0, 80.0], [np.nan, 0.0]])
def test_circle_without_a_size_gives_no_crop(edge):
    assert RotatedSquare.around(np.array([100.0, 80.0]), np.array(edge)) is None


def test_refinement_by_a_heatmap():
    heatmaps = np.full((64, 64, 4), -20.0, np.float32)
    heatmaps[30, 22, 0] = 20  # two cells right of and one above the landmark
    heatmaps[31, 20, 1] = -0.1  # less than .5: not seen
    heatmaps[0, 1, 2] = 20  # at the border of the heatmap
    heatmaps[5, 5, 3] = 20  # the landmark lies outside of the heatmap
    points = np.array([[81.0, 125.0], [81.0, 125.0], [2.0, 2.0], [-9.0, 20.0]])
    expected = [[88, 120], [81, 125], [4, 0], [-9, 20]]
    np.testing.assert_allclose(refine(points, heatmaps), expected, atol=1e-3)


def test_refinement_agrees_with_a_slow_one():
    rng = np.random.default_rng(0)
    heatmaps = rng.normal(0, 4, (64, 64, 19)).astype(np.float32)
    points = rng.uniform(-10, 266, (19, 2))
    expected = points.copy()
    for j, (x, y) in enumerate(points):
        column, row = int(np.floor(x / 4)), int(np.floor(y / 4))
        if not (0 <= column < 64 and 0 <= row < 64):
            continue
        cells = [
            (1 / (1 + np.exp(-heatmaps[r, c, j])), c, r)
            for r in range(max(0, row - 3), min(64, row + 4))
            for c in range(max(0, column - 3), min(64, column + 4))
        ]
        if max(weight for weight, _, _ in cells) >= 0.5:
            mass = sum(weight for weight, _, _ in cells)
            expected[j] = [
                4 * sum(w * c for w, c, _ in cells) / mass,
                4 * sum(w * r for w, _, r in cells) / mass,
            ]
    np.testing.assert_allclose(refine(points, heatmaps), expected, rtol=1e-5)


def test_keypoints_are_fractions_of_the_frame():
    extractor = BlazePosePose(PoseExtraction())
    extractor.start(120, 200)
    keypoints = np.tile(np.float32([50, 90, 0.5]), (17, 1))
    found, nobody = extractor.process([person(np.eye(2, 3), keypoints=keypoints), None])
    assert found.shape == (1, 17, 3)
    np.testing.assert_allclose(found[0, 0], [0.25, 0.75, 0.5])
    assert nobody.shape == (0, 17, 3)


def test_mask_is_placed_where_the_crop_is():
    extractor = BlazePoseMask(MaskExtraction(short_side=50))
    extractor.start(100, 160)
    # The crop is the square from (40, 20) to (104, 84) of the frame: (20, 10) to (52, 42) as stored.
    persons = [person(np.array([[0.25, 0, 40], [0, 0.25, 20]])), None]
    inside, nobody = map(extractor.store, extractor.process(persons))
    mask = decode(inside, 1)[..., 0]
    assert mask.shape == (50, 80)
    expected = np.zeros((50, 80))
    expected[10:42, 20:52] = 255
    assert np.abs(mask - expected).mean() < 2
    assert mask[12:40, 22:50].min() > 250
    assert np.abs(mask.mean(axis=0)[[20, 51]] - mask.mean(axis=0)[[51, 20]]).max() < 4, "placed symmetrically"
    assert decode(nobody, 1).max() == 0


def test_pixel_centres_of_a_doubling():
    doubling = pixel_centres(np.array([[2.0, 0, 0], [0, 2.0, 0]]))
    np.testing.assert_allclose(doubling @ [0, 0, 1], [0.5, 0.5])


def test_missing_interpreter_is_named(blazepose_weights, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("ai_edge_litert"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(AssetError, match="ai-edge-litert"):
        BlazePose(None, Resources())


def test_nobody_in_an_empty_scene(blazepose_weights, moving):
    network = BlazePose(None, Resources())
    network.start()
    assert network.infer([np.zeros((47, 63, 3), np.uint8), moving(1)[0]]) == [None, None]
