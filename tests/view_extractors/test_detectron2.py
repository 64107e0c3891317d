"""Our part of the backend detectron2, on a stand-in for the package (see fake_detectron2.py)."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from cocon.config.schema import MaskExtraction, PoseExtraction
from cocon.errors import CoConError
from cocon.shards.codecs import decode
from tests.view_extractors.fake_detectron2 import BALL_RGB, PERSON_RGB, FakeNetwork, modules
from view_extractors import detectron2
from view_extractors.base import Resources
from view_extractors.detectron2 import network_size
from view_extractors.pose.detectron2 import Detectron2KeypointRcnn, Detectron2Pose
from view_extractors.segmentation.detectron2 import Detectron2Mask, Detectron2PanopticFpn

CPU = Resources(threads=1, device="cpu")
#: x1, y1, x2, y2 px of the frame
PERSON = (40, 20, 80, 100)
BALL = (120, 60, 150, 90)


@pytest.fixture
def built(monkeypatch) -> list[FakeNetwork]:
    networks: list[FakeNetwork] = []
    for name, module in modules(networks).items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(detectron2, "load_published", lambda network, name: None)
    return networks


def frame(*things, size=(120, 200)) -> np.ndarray:
    """A grey frame with coloured rectangles."""
    picture = np.full((*size, 3), 128, np.uint8)
    for (x1, y1, x2, y2), colour in things:
        picture[y1:y2, x1:x2] = colour
    return picture


def test_keypoints_land_where_they_are_planted(built):
    extractor = Detectron2Pose(PoseExtraction(backend="detectron2", detectron2={"frame_short_side": 240}))
    network = extractor.network(extractor.options, CPU)
    extractor.start(120, 200)
    both = frame((PERSON, PERSON_RGB), (BALL, BALL_RGB))
    found, nobody = extractor.process(network.infer([both, frame((BALL, BALL_RGB))]))
    assert nobody.shape == (0, 17, 3)
    assert found.shape == (1, 17, 3)
    part = np.arange(1, 18) / 18
    x1, y1, x2, y2 = PERSON
    np.testing.assert_allclose(found[0, :, 0], (x1 + part * (x2 - x1)) / 200, atol=0.5 / 200)
    np.testing.assert_allclose(found[0, :, 1], (y1 + part * (y2 - y1)) / 120, atol=0.5 / 120)
    # The score is the person's times the keypoint's certainty, not Detectron2's third number.
    assert found[0, :, 2].min() > 0.8
    assert found[0, :, 2].max() <= 0.9


def test_mask_of_persons_lies_in_their_boxes(built):
    extractor = Detectron2Mask(MaskExtraction(backend="detectron2", short_side=60))
    network = extractor.network(extractor.options, CPU)
    extractor.start(120, 200)
    (result,) = extractor.process(network.infer([frame((PERSON, PERSON_RGB), (BALL, BALL_RGB))]))
    mask = decode(extractor.store(result), 1)[..., 0].astype(int)
    assert mask.shape == (60, 100)
    sure, doubtful, ball = mask[12:48, 21:29], mask[12:48, 31:39], mask[30:45, 60:75]
    assert abs(sure - 0.9 * 255).max() < 12
    assert abs(doubtful - 0.9 * 0.25 * 255).max() < 12
    assert ball.max() < 12, "only persons count"


def test_probability_of_things_is_the_semantic_branch(built):
    options = {"confidence": "things", "frame_short_side": 100}
    extractor = Detectron2Mask(MaskExtraction(backend="detectron2", short_side=60, detectron2=options))
    network = extractor.network(extractor.options, CPU)
    extractor.start(120, 200)
    (result,) = extractor.process(network.infer([frame((PERSON, PERSON_RGB), (BALL, BALL_RGB))]))
    assert result.shape == (100, 167), "without the padding of the network's input"
    mask = decode(extractor.store(result), 1)[..., 0].astype(int)
    expected = np.zeros((60, 100))
    expected[10:50, 20:40] = expected[30:45, 60:75] = 255
    assert np.abs(mask - expected).mean() < 4


@pytest.mark.parametrize("network", [Detectron2KeypointRcnn, Detectron2PanopticFpn])
def test_settings_reach_the_network(built, network):
    section = PoseExtraction if network is Detectron2KeypointRcnn else MaskExtraction
    options = section(detectron2={"score": 0.93, "frame_short_side": 64}).detectron2
    made = network(options, CPU)
    assert built[0].settings.MODEL.DEVICE == "cpu"
    (found,) = made.infer([frame((PERSON, PERSON_RGB), (BALL, BALL_RGB))])
    assert len(found.scores_P) == 0, "the person's .9 is below the threshold"


def test_batches_are_as_large_as_memory_allows(built, monkeypatch):
    monkeypatch.setattr(detectron2, "at_once", lambda device, each: 2)
    network = Detectron2KeypointRcnn(PoseExtraction(detectron2={"frame_short_side": 64}).detectron2, CPU)
    boxes = [(10 * i, 20, 10 * i + 40, 100) for i in range(5)]
    batched = network.infer([frame((box, PERSON_RGB)) for box in boxes])
    assert built[0].batches == [2, 2, 1]
    for persons, box in zip(batched, boxes, strict=True):
        np.testing.assert_allclose(persons.boxes_P4, [box], atol=2)


@pytest.mark.parametrize(
    ("frame_size", "expected"),
    [((480, 640), (800, 1067)), ((640, 480), (1067, 800)), ((120, 480), (333, 1333)), ((7, 7), (800, 800))],
)
def test_network_size_has_the_aspect_ratio_and_a_longest_side(frame_size, expected):
    assert network_size(*frame_size, 800) == expected


def test_without_the_package_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "detectron2", None)
    with pytest.raises(CoConError, match="needs the package detectron2") as caught:
        Detectron2KeypointRcnn(PoseExtraction().detectron2, CPU)
    assert "pip install --no-build-isolation" in caught.value.hint


def test_the_stand_in_sees_bgr(built):
    network = Detectron2KeypointRcnn(PoseExtraction(detectron2={"frame_short_side": 64}).detectron2, CPU)
    (swapped,) = network.infer([frame((PERSON, PERSON_RGB))[:, :, ::-1]])
    assert len(swapped.scores_P) == 0
    assert torch.is_inference_mode_enabled() is False
