"""Our part of the backend detectron2, on a stand-in for the package (see fake_detectron2.py)."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

import numpy as np
import pytest
import torch

from cocon.backends import BACKENDS
from cocon.config.schema import MaskExtraction, PoseExtraction
from cocon.errors import CoConError
from cocon.shards.codecs import decode
from tests.view_extractors.networks.fake_detectron2 import (
    BALL_RGB,
    OTHER_PERSON_RGB,
    PERSON_RGB,
    FakeNetwork,
    modules,
)
from view_extractors.base import Resources
from view_extractors.mask.detectron2 import Detectron2Mask, Detectron2PanopticFpn
from view_extractors.networks import detectron2
from view_extractors.networks.detectron2 import network_size
from view_extractors.networks.devices import half_precision
from view_extractors.pose.detectron2 import Detectron2KeypointRcnn, Detectron2Pose
from view_extractors.registry import to_install

CPU = Resources(threads=1, device="cpu")
#: x1, y1, x2, y2 px of the frame
PERSON = (40, 20, 80, 100)
BALL = (120, 60, 150, 90)


@pytest.fixture
def not_imported(monkeypatch) -> None:
    """What other tests may have imported of the real package is forgotten for a while."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "detectron2"]:
        monkeypatch.delitem(sys.modules, name)


@pytest.fixture
def built(monkeypatch, not_imported) -> list[FakeNetwork]:
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


def three() -> np.ndarray:
    return frame((PERSON, PERSON_RGB), ((10, 50, 30, 110), OTHER_PERSON_RGB), (BALL, BALL_RGB))


def test_the_second_head_reads_no_more_persons_than_are_wanted(built):
    options = PoseExtraction(detectron2={"persons": 1, "frame_short_side": 120}).detectron2
    (best,) = Detectron2KeypointRcnn(options, CPU).infer([three()])
    (both,) = Detectron2KeypointRcnn(
        PoseExtraction(detectron2={"frame_short_side": 120}).detectron2, CPU
    ).infer([three()])
    assert [network.second_head for network in built] == [[1], [2]]
    assert len(both.scores_P) == 2
    np.testing.assert_array_equal(best.keypoints_PJ3, both.keypoints_PJ3[:1])
    np.testing.assert_array_equal(best.boxes_P4, [PERSON])


def test_a_better_detection_of_another_class_takes_no_persons_place(built):
    options = MaskExtraction(detectron2={"persons": 1, "frame_short_side": 120}).detectron2
    (found,) = Detectron2PanopticFpn(options, CPU).infer([three()])
    assert built[0].settings.TEST.DETECTIONS_PER_IMAGE == 100
    np.testing.assert_array_equal(found.boxes_P4, [PERSON])


def test_the_second_head_reads_little_where_only_the_semantic_branch_counts(built):
    options = {"confidence": "things", "frame_short_side": 120}
    few = Detectron2PanopticFpn(MaskExtraction(detectron2=options).detectron2, CPU)
    (things,) = few.infer([three()])
    assert built[0].second_head == [1]
    for x1, y1, x2, y2 in (PERSON, (10, 50, 30, 110), BALL):
        assert things[y1:y2, x1:x2].min() > 0.99


def test_frames_shrink_through_pillows_filter(built):
    """Which is a triangle twice as wide as the pixels that it makes: for halves (1 3 3 1) / 8."""
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[20, 30] = (0, 160, 240)
    network = Detectron2KeypointRcnn(PoseExtraction(detectron2={"frame_short_side": 20}).detectron2, CPU)
    network.infer([picture])
    expected = np.zeros((20, 30))
    expected[9:11, 14:16] = np.outer([1, 3], [1, 3]) / 64
    (seen,) = built[0].pictures
    for channel, height in zip(seen.numpy(), (0, 160, 240), strict=True):
        np.testing.assert_allclose(channel, height * expected, atol=1)


def test_batches_are_as_large_as_memory_allows(built, monkeypatch):
    monkeypatch.setattr(detectron2, "at_once", lambda device, each: 2)
    network = Detectron2KeypointRcnn(PoseExtraction(detectron2={"frame_short_side": 64}).detectron2, CPU)
    boxes = [(10 * i, 20, 10 * i + 40, 100) for i in range(5)]
    batched = network.infer([frame((box, PERSON_RGB)) for box in boxes])
    assert built[0].batches == [2, 2, 1]
    for persons, box in zip(batched, boxes, strict=True):
        np.testing.assert_allclose(persons.boxes_P4, [box], atol=2)


@pytest.mark.parametrize("half", ["float16", "bfloat16"])
def test_a_gpus_path_agrees_with_the_cpus(built, monkeypatch, as_on_a_gpu, half):
    """On the CPU: frames scaled by torch, casts, and one copy of the results of several frames."""
    frames = [three(), frame((BALL, BALL_RGB)), frame((PERSON, PERSON_RGB))]
    sections = {Detectron2KeypointRcnn: PoseExtraction, Detectron2PanopticFpn: MaskExtraction}
    made = {
        kind: lambda kind=kind, section=section: kind(
            section(detectron2={"frame_short_side": 240}).detectron2, Resources(threads=1)
        )
        for kind, section in sections.items()
    }
    expected = {kind: make().infer(frames) for kind, make in made.items()}
    assert set(built[0].dtypes.values()) == {torch.float32}
    as_on_a_gpu(half)
    monkeypatch.setattr(detectron2, "at_once", lambda device, each: 2)
    for kind, make in made.items():
        found = make().infer(frames)
        assert [len(persons.scores_P) for persons in found] == [2, 0, 1]
        for there, here in zip(found, expected[kind], strict=True):
            np.testing.assert_array_equal(there.boxes_P4, here.boxes_P4)
            np.testing.assert_array_equal(there.scores_P, here.scores_P)
            if here.masks_P is None:
                np.testing.assert_allclose(there.keypoints_PJ3, here.keypoints_PJ3, atol=1e-4)
            elif here.masks_P:
                np.testing.assert_array_equal(np.stack(there.masks_P), np.stack(here.masks_P))
        kinds = {"backbone": getattr(torch, half), "box_head": getattr(torch, half)}
        kinds |= {"box_pooler": torch.float32, "box_predictor": torch.float32}
        assert built[-1].dtypes == kinds


def test_things_on_a_gpu(built, as_on_a_gpu):
    options = MaskExtraction(detectron2={"confidence": "things", "frame_short_side": 100}).detectron2
    frames = [frame((PERSON, PERSON_RGB)), frame((BALL, BALL_RGB))]
    expected = Detectron2PanopticFpn(options, CPU).infer(frames)
    as_on_a_gpu("bfloat16")
    for there, here in zip(Detectron2PanopticFpn(options, CPU).infer(frames), expected, strict=True):
        assert there.dtype == np.float32
        assert (np.abs(there - here) > 0.01).mean() < 0.002, "only pixels at a border round differently"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kind", [Detectron2KeypointRcnn, Detectron2PanopticFpn])
def test_gpu_agrees_with_the_cpu(monkeypatch, kind):
    """With the package itself, where it is installed, and random weights."""
    pytest.importorskip("detectron2.modeling", reason="needs detectron2")
    monkeypatch.setattr(detectron2, "load_published", lambda network, name: None)
    section = PoseExtraction if kind is Detectron2KeypointRcnn else MaskExtraction
    options = section(detectron2={"frame_short_side": 128, "score": 0.0}).detectron2
    torch.manual_seed(0)
    here, there = kind(options, CPU), kind(options, Resources(device="cuda"))
    there._network.load_state_dict(here._network.state_dict())
    picture = np.random.default_rng(0).integers(0, 256, (120, 200, 3), np.uint8)
    x_BCHW = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    with torch.inference_mode():
        with half_precision(there._device):
            ours = there._network.backbone(x_BCHW.to("cuda"))
        for name, theirs in here._network.backbone(x_BCHW).items():
            apart = (ours[name].float().cpu() - theirs).abs().mean() / theirs.abs().mean()
            assert apart < 0.05, name
    for persons in there.infer([picture, picture]):
        assert persons.boxes_P4.dtype == np.float32
        assert np.isfinite(persons.boxes_P4).all()


@pytest.mark.parametrize(
    ("frame_size", "expected"),
    [((480, 640), (800, 1067)), ((640, 480), (1067, 800)), ((120, 480), (333, 1333)), ((7, 7), (800, 800))],
)
def test_network_size_has_the_aspect_ratio_and_a_longest_side(frame_size, expected):
    assert network_size(*frame_size, 800) == expected


def test_without_the_package_the_error_says_how_to_install_it(monkeypatch, not_imported):
    monkeypatch.setitem(sys.modules, "detectron2", None)
    with pytest.raises(CoConError, match="needs the package detectron2") as caught:
        Detectron2KeypointRcnn(PoseExtraction().detectron2, CPU)
    assert "pip install --no-build-isolation" in caught.value.hint
    assert "setuptools<82" in caught.value.hint


def test_what_is_imported_already_is_not_taken_for_the_stand_in(monkeypatch, request):
    for name in ("detectron2", "detectron2.model_zoo", "detectron2.modeling"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    networks = request.getfixturevalue("built")
    Detectron2KeypointRcnn(PoseExtraction().detectron2, CPU)
    assert len(networks) == 1


@pytest.fixture
def installed(monkeypatch, not_imported, tmp_path):
    """A package detectron2 whose model zoo imports pkg_resources, as that of 0.6 does."""
    zoo = tmp_path / "detectron2" / "model_zoo"
    zoo.mkdir(parents=True)
    (zoo.parent / "__init__.py").touch()
    (zoo / "__init__.py").write_text("from .model_zoo import get_config\n")
    (zoo / "model_zoo.py").write_text("import pkg_resources\n\nget_config = None\n")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_a_missing_module_that_the_package_imports_is_named(installed, monkeypatch):
    monkeypatch.setitem(sys.modules, "pkg_resources", None)
    with pytest.raises(CoConError, match="needs the module pkg_resources, which is not installed") as caught:
        Detectron2KeypointRcnn(PoseExtraction().detectron2, CPU)
    assert caught.value.hint == "pip install 'setuptools<82'"


def test_without_pkg_resources_it_is_not_called_installed(installed, monkeypatch):
    real = importlib.util.find_spec
    found = {"pkg_resources": None}
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: found[name] if name in found else real(name)
    )
    assert to_install(BACKENDS["pose"]["detectron2"]) == "pip install 'setuptools<82'"
    zoo = installed / "detectron2" / "model_zoo" / "model_zoo.py"
    zoo.write_text("import os\n")
    assert to_install(BACKENDS["pose"]["detectron2"]) == "", "later versions do without it"
    zoo.write_text("import pkg_resources\n")
    found["pkg_resources"] = real("detectron2")
    assert to_install(BACKENDS["pose"]["detectron2"]) == ""


def test_the_stand_in_sees_bgr(built):
    network = Detectron2KeypointRcnn(PoseExtraction(detectron2={"frame_short_side": 64}).detectron2, CPU)
    (swapped,) = network.infer([frame((PERSON, PERSON_RGB))[:, :, ::-1]])
    assert len(swapped.scores_P) == 0
    assert torch.is_inference_mode_enabled() is False
