"""RTMPose and RTMDet with random weights, and with planted outputs that must land where they belong."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("mmpose", reason="needs mmpose: make test-backends")
import torch

from cocon.config.schema import MmposeParameters, PoseExtraction
from view_extractors.base import Resources
from view_extractors.networks import devices, openmmlab, rtmdet, rtmpose
from view_extractors.networks.rtmdet import Boxes, Rtmdet, letterbox
from view_extractors.networks.rtmpose import Crops, RtmPose, crop_to_frame, cut, in_frame, read_bins
from view_extractors.pose.mmpose import MmposePose

pytestmark = pytest.mark.backends
CPU = Resources(threads=1, device="cpu")
BOXES = np.array([[30, 20, 90, 110], [100, 5, 190, 60]], np.float32)


@pytest.fixture(scope="module", autouse=True)
def _no_weights():
    """Networks stay as they are initialised, with a seed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openmmlab, "load_published", lambda network, name: None)
        yield


def make(model="rtmpose-t", detector="frame", **options) -> RtmPose:
    torch.manual_seed(0)
    return RtmPose(MmposeParameters(model=model, detector=detector, score=0, **options), CPU)


@pytest.fixture(scope="module")
def network() -> RtmPose:
    return make()


@pytest.fixture
def two_persons(network, monkeypatch) -> RtmPose:
    """A network whose detector finds two persons in even frames, and one in odd ones."""

    def detect(frames):
        return [Boxes(BOXES[: 2 - i % 2], np.float32([0.9, 0.6])[: 2 - i % 2]) for i in range(len(frames))]

    monkeypatch.setattr(network, "_detector", detect)
    return network


@pytest.mark.parametrize(
    ("model", "millions"), [("rtmpose-t", 3.3), ("rtmpose-s", 5.5), ("rtmpose-m", 13.6), ("rtmpose-l", 27.7)]
)
def test_every_size_is_built(model, millions, moving):
    made = make(model)
    assert sum(p.numel() for p in made._network.module.parameters()) / 1e6 == pytest.approx(millions, abs=0.1)
    (persons,) = made.infer(moving(1, 90, 130))
    np.testing.assert_array_equal(persons.boxes_P4, [[0, 0, 130, 90]])
    assert persons.keypoints_PJ3.shape == (1, 17, 3)
    assert np.isfinite(persons.keypoints_PJ3).all()


def test_persons_keep_their_frames(two_persons, moving):
    frames = moving(3, 120, 200)
    found = two_persons.infer(frames)
    assert [len(persons.scores_P) for persons in found] == [2, 1, 2]
    for index, persons in enumerate(found):
        np.testing.assert_array_equal(persons.boxes_P4, BOXES[: 2 - index % 2])
        for number in range(len(persons.scores_P)):
            (keypoints,) = two_persons._keypoints(Crops(frames[index:], [[crop_to_frame(BOXES[number])]]))
            expected = in_frame(keypoints, crop_to_frame(BOXES[number]))
            np.testing.assert_allclose(persons.keypoints_PJ3[number], expected, atol=1e-4)


def test_batching_equals_one_by_one(network, monkeypatch, moving):
    frames = moving(5, 90, 130, step=7)
    crops = Crops(frames, [[crop_to_frame(BOXES[0])]] * 5)
    one_by_one = network._keypoints(crops)
    monkeypatch.setattr(rtmpose, "at_once", lambda device, each: 2)
    batched = network._keypoints(crops)
    # A random network's maxima are no peaks, so only their heights are compared.
    np.testing.assert_allclose(batched[..., 2], one_by_one[..., 2], atol=1e-4)


def test_agrees_with_mmposes_own_inference(network, moving, monkeypatch):
    """The same crop, normalisation, decoding and way back as its pipeline and test_step, without flipping."""
    import mmpose
    from mmengine.dataset import Compose, pseudo_collate
    from mmengine.registry import DefaultScope
    from mmpose.datasets.datasets.utils import parse_pose_metainfo

    module, settings = network._network.module, network._network.settings
    monkeypatch.setitem(module.test_cfg, "flip_test", False)
    folder = Path(mmpose.__file__).parent / ".mim" / "configs"
    coco = parse_pose_metainfo({"from_file": str(folder / "_base_" / "datasets" / "coco.py")})
    (frame,) = moving(1, 120, 200)
    with DefaultScope.overwrite_default_scope("mmpose"), torch.inference_mode():
        pipeline = Compose(settings.test_dataloader.dataset.pipeline)
        bgr = np.ascontiguousarray(frame[:, :, ::-1])
        boxes = [{"img": bgr, "bbox": box[None], "bbox_score": np.ones(1, np.float32)} for box in BOXES]
        theirs = module.test_step(pseudo_collate([pipeline(box | coco) for box in boxes]))
    (persons,) = network_with(network, BOXES, monkeypatch).infer([frame])
    for ours, sample in zip(persons.keypoints_PJ3, theirs, strict=True):
        # Theirs are pixel indices.
        np.testing.assert_allclose(ours[:, :2], sample.pred_instances.keypoints[0] + 0.5, atol=1e-2)
        scores = sample.pred_instances.keypoint_scores[0].clip(0, 1)
        np.testing.assert_allclose(ours[:, 2], scores, atol=1e-4)


def network_with(network, boxes, monkeypatch) -> RtmPose:
    scores = np.ones(len(boxes), np.float32)
    monkeypatch.setattr(network, "_detector", lambda frames: [Boxes(boxes, scores) for _ in frames])
    return network


@pytest.mark.parametrize("box", [[30, 20, 90, 110], [100, 5, 190, 60], [-40, -10, 20, 300]])
def test_a_planted_peak_comes_back_to_its_pixel(box):
    """A known point of the frame, its place in the crop, the bins there, and the way back."""
    to_frame = crop_to_frame(np.float32(box))
    point = np.array([0.7 * box[0] + 0.3 * box[2], 0.4 * box[1] + 0.6 * box[3]])
    index = point - 0.5
    in_crop = np.linalg.solve(to_frame[:, :2], index - to_frame[:, 2])
    assert (in_crop > 0).all(), "the crop holds the box"
    assert (in_crop < rtmpose.CROP_PX).all()
    x, y = torch.zeros(1, 17, 384), torch.zeros(1, 17, 512)
    column, row = (2 * in_crop).round().astype(int)
    x[0, 4, column], y[0, 4, row] = 0.8, 0.7
    keypoints = in_frame(read_bins(x, y)[0].numpy(), to_frame)
    half_a_bin = 0.25 * to_frame[0, 0]
    np.testing.assert_allclose(keypoints[4, :2], point, atol=half_a_bin + 1e-3)
    assert keypoints[4, 2] == pytest.approx(0.7)


def test_the_crop_shows_the_box_with_a_margin():
    frame = np.zeros((120, 200, 3), np.uint8)
    frame[20:110, 30:90] = 255
    crop = cut(frame, crop_to_frame(BOXES[0])).astype(int)
    assert crop.shape == (256, 192, 3)
    # 60 x 90 px in a crop of 84.4 x 112.5: the box takes .8 of the height, .711 of the width.
    assert (crop[128, :, 0] > 127).sum() == pytest.approx(0.711 * 192, abs=2)
    assert (crop[:, 96, 0] > 127).sum() == pytest.approx(0.8 * 256, abs=2)


def test_persons_whose_keypoints_are_unsure_are_left_out(two_persons, monkeypatch, moving):
    def keypoints(crops):
        return [np.full((17, 3), score) for score in np.linspace(0.1, 0.9, len(crops))]

    monkeypatch.setattr(two_persons, "_keypoints", keypoints)
    monkeypatch.setattr(two_persons, "_options", MmposeParameters(score=0.5))
    first, second, third = two_persons.infer(moving(3, 120, 200))
    assert [len(p.scores_P) for p in (first, second, third)] == [0, 1, 2]
    assert second.keypoints_PJ3[0, 0, 2] == pytest.approx(0.5)


def test_no_persons_at_all(network, monkeypatch, moving):
    nobody = network_with(network, np.zeros((0, 4), np.float32), monkeypatch)
    (persons,) = nobody.infer(moving(1, 120, 200))
    assert persons.keypoints_PJ3.shape == (0, 17, 3)


def test_the_view_is_in_fractions_of_the_frame(two_persons, moving):
    extractor = MmposePose(PoseExtraction(backend="mmpose"))
    extractor.start(120, 200)
    results = two_persons.infer(moving(1, 120, 200))
    (stored,) = extractor.process(results)
    np.testing.assert_allclose(stored[1, :, :2] * [200, 120], results[0].keypoints_PJ3[1, :, :2], rtol=1e-5)
    np.testing.assert_allclose(stored[1, :, 2], 0.6 * results[0].keypoints_PJ3[1, :, 2], rtol=1e-5)


# ------------------------------------------------------------------------------------------ the detector


@pytest.fixture(scope="module")
def detector() -> Rtmdet:
    torch.manual_seed(0)
    return Rtmdet("tiny", 0.3, 10, torch.device("cpu"))


def planted(found):
    """A head that is certain of persons, (x1, y1, x2, y2, logit) in px of the square, and of a bicycle."""
    logits = [torch.full((1, 80, 640 // s, 640 // s), -9.0) for s in rtmdet.STRIDES]
    distances = [torch.ones(1, 4, 640 // s, 640 // s) for s in rtmdet.STRIDES]
    logits[2][0, 1, 5, 5] = 9
    for level, (x1, y1, x2, y2, logit) in found:
        stride = rtmdet.STRIDES[level]
        row, column = int((y1 + y2) / 2 / stride), int((x1 + x2) / 2 / stride)
        x, y = column * stride, row * stride
        logits[level][0, 0, row, column] = logit
        distances[level][0, :, row, column] = torch.tensor([x - x1, y - y1, x2 - x, y2 - y])
    return logits, distances


def test_planted_boxes_come_back_as_pixels_of_the_frame(detector, monkeypatch):
    """A frame of 400 x 200 px fills the upper half of the square at a scale of 1.6."""
    boxes = [
        (0, (160, 80, 320, 240, 2.0)),
        (1, (164, 84, 320, 240, 1.0)),  # the same person: left out
        (2, (480, 0, 700, 400, 3.0)),  # reaches out of the frame: cut off
        (1, (20, 20, 40, 60, -1.5)),  # unsure
    ]
    monkeypatch.setattr(detector._network.module.bbox_head, "forward", lambda features: planted(boxes))
    (found,) = detector([np.zeros((200, 400, 3), np.uint8)])
    np.testing.assert_allclose(found.boxes_P4, [[300, 0, 400, 200], [100, 50, 200, 150]], atol=1e-3)
    np.testing.assert_allclose(found.scores_P, 1 / (1 + np.exp([-3.0, -2.0])), rtol=1e-5)


def test_at_most_so_many_persons(detector, monkeypatch):
    boxes = [(0, (100 * i + 10, 40, 100 * i + 60, 100, 1.0 + i)) for i in range(6)]
    monkeypatch.setattr(detector._network.module.bbox_head, "forward", lambda features: planted(boxes))
    monkeypatch.setattr(detector, "_persons", 4)
    (found,) = detector([np.zeros((200, 400, 3), np.uint8)])
    assert len(found.scores_P) == 4
    assert found.boxes_P4[0, 0] == pytest.approx(510 / 1.6)


def test_decoding_agrees_with_mmdets_own(detector, moving):
    pictures, scale = letterbox(moving(1, 90, 130))
    module = detector._network.module
    with torch.inference_mode():
        outputs = module.bbox_head(module.extract_feat(detector._network.normalise(pictures)))
        ours, scores = rtmdet.decode(*outputs)
        meta = {"scale_factor": tuple(scale), "img_shape": (10**4, 10**4)}
        (theirs,) = module.bbox_head.predict_by_feat(
            *outputs,
            batch_img_metas=[meta],
            cfg=SimpleNamespace(get={"nms_pre": -1, "score_thr": -1}.get),
            rescale=True,
            with_nms=False,
        )
    persons = theirs.labels == 0
    expected = theirs.bboxes[persons].numpy()
    boxes = (ours[0].numpy() / np.tile(scale, 2)).clip(0)
    order, their_order = np.lexsort(boxes.T.round(2)), np.lexsort(expected.T.round(2))
    np.testing.assert_allclose(boxes[order], expected[their_order], atol=0.05)
    np.testing.assert_allclose(np.sort(scores[0].numpy()), np.sort(theirs.scores[persons].numpy()), atol=1e-6)


def test_pictures_are_bgr_for_the_detector_and_rgb_for_the_pose(detector, network):
    red = np.zeros((1, 8, 8, 3), np.uint8)
    red[..., 0] = 255
    for made, channel in ((detector._network, 2), (network._network, 0)):
        x_BCHW = made.normalise(red)
        assert x_BCHW[0, :, 0, 0].argmax() == channel
        assert x_BCHW[0, channel, 0, 0] == pytest.approx((255 - 123.675) / 58.395, abs=1e-4)


def test_letterbox_keeps_the_aspect_ratio():
    pictures, scale = letterbox([np.full((100, 50, 3), 200, np.uint8)])
    assert pictures.shape == (1, 640, 640, 3)
    np.testing.assert_allclose(scale, [6.4, 6.4])
    assert (pictures[0, :, :320] == 200).all()
    assert (pictures[0, :, 320:] == rtmdet.GREY).all()


# ---------------------------------------------------------------------------------------- a GPU's path


def enlivened(module, run):
    """Random weights whose output depends on the input: those of the packages give nearly a constant."""
    torch.manual_seed(0)
    for part in module.modules():
        if isinstance(part, torch.nn.Conv2d | torch.nn.Linear):
            torch.nn.init.kaiming_normal_(part.weight)
        if isinstance(part, torch.nn.modules.batchnorm._BatchNorm):
            part.momentum = 1.0
    module.train()
    with torch.no_grad():
        run()
    module.eval()


@pytest.fixture(scope="module")
def frames(moving) -> list[np.ndarray]:
    """Twice as large as the square, which OpenCV and torch scale alike to the last grey level."""
    return [frame.repeat(4, axis=0).repeat(4, axis=1) for frame in moving(3, 80, 320, step=3)]


@pytest.fixture(scope="module")
def whole(frames) -> RtmPose:
    """Detector and pose network that find some persons."""
    made = make(detector="rtmdet-tiny", detection_score=0.3)
    detector, pose = made._detector._network, made._network
    square, head = detector.normalise(letterbox(frames)[0]), detector.module.bbox_head
    enlivened(detector.module, lambda: head(detector.module.extract_feat(square)))
    for logits, distances in zip(head.rtm_cls, head.rtm_reg, strict=True):
        logits.weight.data *= 0.2
        logits.bias.data[0] -= 1
        distances.weight.data *= 0.3
        distances.bias.data += 4
    crops = pose.normalise([cut(frame, crop_to_frame(np.float32([300, 20, 600, 280]))) for frame in frames])
    enlivened(pose.module.backbone, lambda: pose.module.backbone(crops))
    return made


def remade(whole) -> RtmPose:
    """Another one with the same weights, made now."""
    there = RtmPose(whole._options, Resources(threads=1, device="auto"))
    there._network.module.load_state_dict(whole._network.module.state_dict())
    there._detector._network.module.load_state_dict(whole._detector._network.module.state_dict())
    return there


@pytest.mark.filterwarnings("ignore:In CPU autocast")
def test_a_gpus_path_agrees_with_the_cpus(whole, frames, monkeypatch, as_on_a_gpu):
    """On the CPU, without half precision: frames scaled and crops cut out by torch, batches, one copy."""
    expected = whole.infer(frames)
    as_on_a_gpu("float32")
    monkeypatch.setattr(rtmdet, "at_once", lambda device, each: 2)
    monkeypatch.setattr(rtmpose, "at_once", lambda device, each: 7)
    for there, here in zip(remade(whole).infer(frames), expected, strict=True):
        assert len(here.scores_P) == len(there.scores_P) == 10
        np.testing.assert_allclose(there.scores_P, here.scores_P, atol=1e-4)
        np.testing.assert_allclose(there.boxes_P4, here.boxes_P4, atol=0.02)
        # A random network's maxima are no peaks: some change places.
        assert np.median(np.abs(there.keypoints_PJ3 - here.keypoints_PJ3)[..., :2]) < 0.01


@pytest.mark.parametrize("half", ["float16", "bfloat16"])
def test_nothing_leaves_a_gpu_in_half_precision(whole, frames, monkeypatch, as_on_a_gpu, half):
    """bfloat16 would stop numpy. Distances, scores and bins have never been in half precision."""
    as_on_a_gpu(half)
    made = remade(whole)
    seen = {}

    def note(name):
        def hook(module, inputs, outputs):
            levels = outputs if torch.is_tensor(outputs[0]) else sum(outputs, ())
            seen[name] = {x.dtype for x in levels}

        return hook

    detector, pose = made._detector._network.module, made._network.module
    parts = {"neck": detector.neck, "boxes": detector.bbox_head, "pose": pose.backbone, "bins": pose.head}
    for name, part in parts.items():
        part.register_forward_hook(note(name))
    for persons in made.infer(frames):
        assert len(persons.scores_P) == 10
        for result in (persons.boxes_P4, persons.scores_P, persons.keypoints_PJ3):
            assert result.dtype == np.float32
            assert np.isfinite(result).all()
    kind = getattr(torch, half)
    assert seen == {"neck": {kind}, "boxes": {torch.float32}, "pose": {kind}, "bins": {torch.float32}}


def test_half_precision_changes_the_networks_outputs_little(whole, frames, as_on_a_gpu):
    """Relative to their spread: a deep network of random weights amplifies its roundings, to 2 to 12 %."""
    square, head = letterbox(frames)[0], np.stack([frame[:256, :192] for frame in frames])

    def outputs(made):
        detector, pose = made._detector._network, made._network
        with torch.inference_mode(), devices.half_precision(torch.device("cpu")):
            maps = detector.module.bbox_head(detector.module.extract_feat(detector.normalise(square)))
            features = pose.module.backbone(pose.normalise(head))
        with torch.inference_mode():
            return [*maps[0], *maps[1], *pose.module.head([x.float() for x in features])]

    expected = outputs(whole)
    as_on_a_gpu("float16")
    for there, here in zip(outputs(remade(whole)), expected, strict=True):
        assert (there - here).abs().mean() / here.std() < 0.2


def test_no_persons_at_all_on_a_gpu(whole, frames, monkeypatch, as_on_a_gpu):
    as_on_a_gpu("float16")
    made = remade(whole)
    monkeypatch.setattr(made._detector, "_score", 1.1)
    assert [persons.keypoints_PJ3.shape for persons in made.infer(frames)] == [(0, 17, 3)] * 3


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu_agrees_with_the_cpu(whole, frames):
    """A random detector's boxes move with the rounding of its layers: only their number and scores count."""
    expected = whole.infer(frames)
    made = remade(whole)
    assert made._device.type == "cuda"
    for there, here in zip(made.infer(frames), expected, strict=True):
        assert len(there.scores_P) == len(here.scores_P)
        np.testing.assert_allclose(there.scores_P, here.scores_P, atol=0.15)
    crops = [crop_to_frame(np.float32([300, 20, 600, 280])), crop_to_frame(np.float32([10, 30, 100, 200]))]
    here = whole._keypoints(Crops(frames, [crops] * 3))
    there = made._keypoints(Crops(devices.upload(frames, made._device), [crops] * 3))
    assert np.median(np.abs(there - here)[..., :2]) < 1
