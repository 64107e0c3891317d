from __future__ import annotations

import itertools

import numpy as np
import pytest

from cocon.config.schema import MaskExtraction, PoseExtraction
from cocon.shards import Shard
from cocon.shards.codecs import decode
from cocon.video import decode as frames_of
from view_extractors.base import Output
from view_extractors.mask import selfie
from view_extractors.mask.selfie import SelfieMask, cut_out, squares_around
from view_extractors.networks.persons import Persons
from view_extractors.pipeline.run import extract
from view_extractors.pose.movenet import MoveNetPose


def test_squares_are_around_the_boxes():
    boxes = np.array([[10.0, 20.0, 50.0, 120.0], [-10.0, 0.0, 190.0, 100.0], [5.0, 5.0, 5.0, 5.0]])
    squares = squares_around(boxes, 1.2)
    assert squares.tolist() == [[-30, 10, 90, 130], [-30, -70, 210, 170], [4, 4, 5, 5]]


def test_a_square_inside_of_the_frame_is_cut_out():
    frame = np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8)
    np.testing.assert_array_equal(cut_out(frame, np.array([20, 30, 276, 286])), frame[30:286, 20:276])


@pytest.mark.parametrize(
    ("square", "inside"),
    [
        ([-128, -64, 128, 192], (slice(64, 256), slice(128, 256))),
        ([100, 50, 356, 306], (slice(0, 150), slice(0, 200))),
        ([-28, -28, 484, 484], (slice(14, 114), slice(14, 164))),
    ],
)
def test_outside_of_the_frame_it_is_black(square, inside):
    picture = cut_out(np.full((200, 300, 3), 200, np.uint8), np.array(square))
    expected = np.zeros((256, 256, 3), np.uint8)
    expected[inside] = 200
    np.testing.assert_array_equal(picture, expected)


@pytest.mark.parametrize("square", [[400, 0, 500, 100], [-90, -90, -10, -10]])
def test_a_square_apart_from_the_frame_is_black(square):
    assert cut_out(np.full((50, 60, 3), 255, np.uint8), np.array(square)).max() == 0


def everything(pictures):
    """Stands for the network: whatever is not black is a person."""
    return [picture[:, :, 0] / np.float32(255) for picture in pictures]


def test_masks_are_drawn_where_the_squares_are():
    extractor = SelfieMask(MaskExtraction.model_validate({"short_side": 50, "selfie": {"margin": 1}}))
    extractor._masks = everything
    extractor.start(100, 160)
    frame = np.zeros((100, 160, 3), np.uint8)
    frame[20:84, 40:72], frame[30:70, 110:150], frame[0:10, 0:10] = 255, 255, 255
    boxes = np.array([[40, 20, 72, 84], [110, 30, 150, 70]], np.float32)
    batch = [
        Persons(boxes, np.ones(2, np.float32), frame=frame),
        Persons(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), frame=frame),
    ]
    both, nobody = (decode(extractor.store(result), 1)[..., 0] for result in extractor.process(batch))
    expected = np.zeros((50, 80))
    expected[10:42, 20:36], expected[15:35, 55:75] = 255, 255
    # The corner's white is in nobody's square. At the edges of the masks a cell's width is blurred.
    assert np.abs(both.astype(int) - expected).max() < 130
    assert np.abs(both.astype(int) - expected).mean() < 2
    assert both[12:40, 22:34].min() > 250
    assert nobody.max() == 0


def test_masks_are_no_finer_than_what_is_stored():
    extractor = SelfieMask(MaskExtraction(short_side=50))
    extractor._masks = everything
    extractor.start(200, 200)
    persons = Persons(
        np.array([[50, 50, 130, 130]], np.float32), np.ones(1), frame=np.zeros((200, 200, 3), np.uint8)
    )
    (found,) = extractor.process([persons])
    assert found.masks_P[0].shape == (44, 44), "a square of 88 px in the frame has 22 px as stored"


def test_both_of_two_real_persons_have_a_mask(shared_data, movenet_weights, write_video, tmp_path):
    source = shared_data / "sets/ut_interaction/pushing/set1_seq03_clip16_pushing.avi"
    clip = write_video(tmp_path / "two.mkv", list(itertools.islice(frames_of(source), 6)), "ffv1", "bgr0")
    outputs = [
        Output(SelfieMask(MaskExtraction()), tmp_path / "mask.h5"),
        Output(MoveNetPose(PoseExtraction()), tmp_path / "pose.h5"),
    ]
    extract({"two": clip}, outputs)
    extract({"two": clip}, [Output(SelfieMask(MaskExtraction()), tmp_path / "alone.h5")], batch_size=4)
    mask, pose = Shard(tmp_path / "mask.h5"), Shard(tmp_path / "pose.h5")
    assert Shard(tmp_path / "alone.h5").videos["two"] == mask.videos["two"], "checksums included"
    assert selfie._WEIGHTS in mask.parameters["weights"]
    row = mask.videos["two"]
    masks = mask.read("two", range(6))[..., 0]
    for picture, persons in zip(masks, pose.keypoints("two"), strict=True):
        assert len(persons) == 2
        for person in persons:
            points = (person[5:, :2] * [row.width, row.height]).astype(int)
            x, y = points[person[5:, 2] > 0.3].T
            assert len(x) >= 8
            assert (picture[y, x] > 127).mean() > 0.8, "keypoints lie on the mask"
        assert (picture > 127).mean() < 0.5
