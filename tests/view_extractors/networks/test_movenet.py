from __future__ import annotations

import numpy as np
import pytest
import torch

from cocon.config.schema import MaskExtraction, MovenetParameters, PoseExtraction
from cocon.shards import Shard
from cocon.shards.codecs import decode
from cocon.video import decode as frames_of
from view_extractors.base import Output, Resources
from view_extractors.mask.selfie import SelfieMask
from view_extractors.networks.movenet import MoveNet, picture_of, read, scaled
from view_extractors.pipeline.inference import network_key
from view_extractors.pipeline.run import extract
from view_extractors.pose.movenet import MoveNetPose

TWO_PERSONS = "sets/ut_interaction/hand_shaking/set1_seq01_clip04_hand_shaking.avi"


@pytest.mark.parametrize(
    ("frame", "picture", "inside"),
    [
        ((240, 320), (192, 256), (192, 256)),
        ((320, 240), (256, 192), (256, 192)),
        ((100, 100), (256, 256), (256, 256)),
        ((271, 480), (160, 256), (145, 256)),
        ((2, 3000), (32, 256), (1, 256)),
    ],
)
def test_sides_of_the_input_are_multiples_of_32(frame, picture, inside):
    white = np.full((*frame, 3), 255, np.uint8)
    found, size = picture_of(white, 256), scaled(white, 256)
    assert found.shape == (*picture, 3)
    assert size == inside
    assert (found[: size[0], : size[1]] == 255).all()
    assert found.sum() == 255 * 3 * size[0] * size[1], "black where the frame is not"


def test_output_becomes_pixels_of_the_frame():
    row = np.zeros((1, 56), np.float32)
    row[0, 15:18] = [0.5, 0.25, 0.9]  # y, x and certainty of the left shoulder
    row[0, 51:] = [0.1, 0.2, 0.3, 0.4, 0.7]
    persons = read(row, np.array([200.0, 400.0]))
    np.testing.assert_allclose(persons.keypoints_PJ3[0, 5], [100, 100, 0.9])
    np.testing.assert_allclose(persons.boxes_P4, [[80, 20, 160, 60]], rtol=1e-6)
    assert persons.scores_P.tolist() == [1]


def test_nobody_in_an_empty_scene(movenet_weights, moving, write_video, tmp_path):
    video = write_video(
        tmp_path / "empty.mkv", [np.zeros((48, 64, 3), np.uint8), moving(1)[0]], "ffv1", "bgr0"
    )
    outputs = [
        Output(MoveNetPose(PoseExtraction()), tmp_path / "pose.h5"),
        Output(SelfieMask(MaskExtraction()), tmp_path / "mask.h5"),
    ]
    extract({"empty": video}, outputs)
    pose, mask = Shard(tmp_path / "pose.h5"), Shard(tmp_path / "mask.h5")
    assert [len(persons) for persons in pose.keypoints("empty")] == [0, 0]
    assert mask.read("empty", range(2)).max() == 0
    assert (pose.videos["empty"].status, mask.videos["empty"].status) == ("ok", "ok")


def test_mask_and_pose_share_the_network_when_it_looks_the_same_way():
    pose = MoveNetPose(PoseExtraction())
    assert network_key(SelfieMask(MaskExtraction())) == network_key(pose)
    other = MaskExtraction.model_validate({"selfie": {"movenet": {"frame_long_side": 128}}})
    assert network_key(SelfieMask(other)) != network_key(pose)


@pytest.fixture(scope="module")
def two(shared_data):
    frames = list(frames_of(shared_data / TWO_PERSONS))
    return frames[::12]


def test_both_persons_are_found_and_keep_their_places(movenet_weights, two):
    network = MoveNet(MovenetParameters(), Resources())
    network.start()
    found = network.infer(two)
    assert [len(persons.boxes_P4) for persons in found] == [2] * len(two)
    left = np.array([persons.boxes_P4[:, 0].argmin() for persons in found])
    assert (left == left[0]).all(), "they walk towards each other and do not pass"
    for persons in found:
        x, y = persons.keypoints_PJ3[:, :, 0], persons.keypoints_PJ3[:, :, 1]
        assert (y[:, 0] < y[:, 11]).all(), "noses above hips"
        assert (y[:, 11] < y[:, 15]).all(), "hips above ankles"
        assert x[:, 11].max() - x[:, 11].min() > 20, "two different persons"


def test_neither_threads_nor_batches_matter(movenet_weights, two):
    def keypoints(threads, *cuts):
        network = MoveNet(MovenetParameters(frame_long_side=128), Resources(threads=threads))
        network.start()
        parts = [network.infer(two[a:b]) for a, b in zip((0, *cuts), (*cuts, len(two)), strict=True)]
        return [persons.keypoints_PJ3 for part in parts for persons in part]

    alone = keypoints(1)
    for other in (keypoints(2), keypoints(1, 1, 4), keypoints(3, 5)):
        for a, b in zip(alone, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_best_persons_are_kept(movenet_weights, two):
    def boxes(**options):
        return MoveNet(MovenetParameters(**options), Resources()).infer(two[:1])[0].boxes_P4

    both = boxes()
    assert len(boxes(persons=1)) == 1
    assert boxes(persons=1)[0].tolist() in both.tolist()
    assert len(boxes(score=0.99)) == 0
    assert len(boxes(score=0)) == 6, "the network always has six rows"


def test_torch_finds_the_same_persons(movenet_weights, two, monkeypatch):
    """What runs on a GPU, run on the CPU: through both networks of the two views."""
    cpu = torch.device("cpu")
    monkeypatch.setattr("view_extractors.networks.devices.torch_device", lambda resources: cpu)
    monkeypatch.setattr("view_extractors.networks.devices.at_once", lambda device, size: 2)
    results = []
    for device in ("cpu", "cuda"):
        resources = Resources(device=device)
        mask = SelfieMask(MaskExtraction())
        mask.prepare(resources)
        mask.start(*two[0].shape[:2])
        persons = MoveNet(mask.options, resources).infer(two[:3])
        pictures = [decode(mask.store(found), 1).astype(int) for found in mask.process(persons)]
        results.append(([found.keypoints_PJ3 for found in persons], pictures))
    (points, masks), (torch_points, torch_masks) = results
    for a, b in zip(points, torch_points, strict=True):
        np.testing.assert_allclose(a[..., :2], b[..., :2], atol=0.1)
        np.testing.assert_allclose(a[..., 2], b[..., 2], atol=1e-3)
    for a, b in zip(masks, torch_masks, strict=True):
        assert a.max() == 255
        assert np.abs(a - b).max() <= 2
