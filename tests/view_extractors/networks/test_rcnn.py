"""torchvision's R-CNNs with random weights, and with planted outputs that must land where they belong."""

from __future__ import annotations

import functools

import numpy as np
import pytest

pytest.importorskip("torchvision", reason="needs torchvision: make test-backends")
import torch
from torchvision.models import detection
from torchvision.models.detection.roi_heads import (
    heatmaps_to_keypoints,
    keypoints_to_heatmap,
    project_masks_on_boxes,
)

from cocon.config.schema import FlowExtraction, MaskExtraction, PoseExtraction, RcnnParameters
from cocon.shards import Shard
from cocon.shards.codecs import decode
from view_extractors.base import Output, Resources, resize
from view_extractors.flow import raft
from view_extractors.flow.raft import Raft
from view_extractors.mask.persons import mask_picture
from view_extractors.mask.torchvision import MaskRcnn, MaskRcnnMask
from view_extractors.networks import rcnn
from view_extractors.pipeline.run import extract
from view_extractors.pose import persons as pose_persons
from view_extractors.pose.torchvision import KeypointRcnn, KeypointRcnnPose

pytestmark = pytest.mark.backends
NETWORKS = (MaskRcnn, KeypointRcnn)


@pytest.fixture(scope="module")
def make():
    """Networks with random weights that take most things for persons; they find 5 boxes per frame."""
    few = {"box_detections_per_img": 5, "rpn_post_nms_top_n_test": 100}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rcnn, "load_weights", lambda network, name: None)
        for name in {network.name for network in NETWORKS}:
            patch.setattr(detection, name, functools.partial(getattr(detection, name), **few))

        @functools.cache
        def make(network, side=64, score=0.0, persons=10):
            torch.manual_seed(0)
            options = RcnnParameters(frame_short_side=side, score=score, persons=persons)
            made = network(options, Resources(threads=1, device="cpu"))
            classes = made._network.roi_heads.box_predictor.cls_score
            classes.weight.data *= 0.05
            classes.bias.data[1] += 3
            made.start()
            return made

        yield make


@pytest.mark.parametrize("network", NETWORKS)
def test_what_is_found(make, moving, network):
    found = make(network).infer(moving(2, 90, 130))
    assert len(found) == 2
    for persons in found:
        count = len(persons.scores_P)
        assert 0 < count <= 5
        assert persons.boxes_P4.shape == (count, 4)
        assert (np.diff(persons.scores_P) <= 0).all(), "the best first"
        x, y = persons.boxes_P4[:, 0::2], persons.boxes_P4[:, 1::2]
        assert min(x.min(), y.min()) > -1
        assert x.max() < 132
        assert y.max() < 92
        if network is MaskRcnn:
            assert [mask.shape for mask in persons.masks_P] == [(28, 28)] * count
            values = np.stack(persons.masks_P)
        else:
            assert persons.keypoints_PJ3.shape == (count, 17, 3)
            values = persons.keypoints_PJ3[:, :, 2]
        assert 0 <= values.min() < values.max() <= 1


@pytest.mark.parametrize("network", NETWORKS)
def test_batching_equals_one_by_one(make, moving, monkeypatch, network):
    frames = moving(3, 90, 130, step=5)
    one_by_one = make(network).infer(frames)
    monkeypatch.setattr(rcnn, "at_once", lambda device, each: 2)
    for batched, alone in zip(make(network).infer(frames), one_by_one, strict=True):
        np.testing.assert_allclose(batched.boxes_P4, alone.boxes_P4, atol=1e-2)
        np.testing.assert_allclose(batched.scores_P, alone.scores_P, atol=1e-5)
        if network is MaskRcnn:
            np.testing.assert_allclose(batched.masks_P, alone.masks_P, atol=1e-4)
        else:
            np.testing.assert_allclose(batched.keypoints_PJ3[..., 2], alone.keypoints_PJ3[..., 2], atol=1e-4)


@pytest.mark.parametrize("network", NETWORKS)
def test_agrees_with_torchvisions_own_inference(make, moving, network):
    """Boxes, scores, masks and points as its forward() gives them, where nobody but persons is found."""
    made = make(network)
    (frame,) = moving(1, 90, 130)
    (found,) = made.infer([frame])
    picture = torch.from_numpy(resize(frame, (64, 92))).permute(2, 0, 1) / 255
    with torch.inference_mode():
        (theirs,) = made._network([picture])
    persons = (theirs["labels"] == 1).numpy()
    scale = np.float32([130 / 92, 90 / 64])
    shift = 0.5 if network is MaskRcnn else 0
    np.testing.assert_allclose(found.scores_P, theirs["scores"].numpy()[persons], atol=1e-5)
    boxes = (theirs["boxes"].numpy()[persons] + shift) * np.tile(scale, 2)
    np.testing.assert_allclose(found.boxes_P4, boxes, atol=1e-2)
    if network is KeypointRcnn:
        points = theirs["keypoints"].numpy()[persons][:, :, :2] * scale
        np.testing.assert_allclose(found.keypoints_PJ3[:, :, :2], points, atol=1e-2)


@pytest.mark.parametrize("network", NETWORKS)
def test_batch_norm_is_that_of_torchvision_with_the_published_weights(make, network, monkeypatch):
    """Those of Keypoint R-CNN were trained with an epsilon of zero."""
    made = make(network)
    state = made._network.state_dict()
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", lambda *_, **__: state)
    theirs = getattr(detection, network.name)(weights="DEFAULT", weights_backbone=None)
    assert made._network.backbone.body.bn1.eps == theirs.backbone.body.bn1.eps
    assert epsilons(made._network) == epsilons(theirs)


def epsilons(network):
    return {name: m.eps for name, m in network.named_modules() if hasattr(m, "running_var")}


@pytest.mark.parametrize("network", NETWORKS)
def test_score_and_number_of_persons_are_limits(make, moving, network):
    frames = moving(1, 90, 130)
    (everyone,) = make(network).infer(frames)
    (best,) = make(network, persons=2).infer(frames)
    np.testing.assert_allclose(best.scores_P, everyone.scores_P[:2], atol=1e-5)
    (nobody,) = make(network, score=1.0).infer(frames)
    assert nobody.boxes_P4.shape == (0, 4)
    if network is MaskRcnn:
        assert mask_picture(nobody, (90, 130), (9, 13)).max() == 0
    else:
        assert nobody.keypoints_PJ3.shape == (0, 17, 3)


def plant(monkeypatch, made, boxes, labels=None, scores=None):
    """Let the first head find these boxes (px of the network's input) in every frame."""
    boxes = torch.tensor(boxes, dtype=torch.float32)
    labels = torch.ones(len(boxes), dtype=torch.int64) if labels is None else torch.tensor(labels)
    scores = torch.ones(len(boxes)) if scores is None else torch.tensor(scores)

    def found(logits, offsets, proposals, sizes):
        return [boxes] * len(sizes), [scores] * len(sizes), [labels] * len(sizes)

    monkeypatch.setattr(made._network.roi_heads, "postprocess_detections", found)


# Sizes of a frame, of the network's input and of the stored picture.
FRAME, INPUT, STORED = (120, 180), (240, 360), (40, 60)


@pytest.mark.parametrize("box", [[97.3, 51.8, 241.6, 203.4], [0.0, 10.0, 60.0, 240.0]])
def test_perfect_mask_head_gives_the_true_mask(make, moving, monkeypatch, box):
    """A head that says exactly what torchvision trains it to say: the stored mask is the person's."""
    y, x = np.mgrid[: INPUT[0], : INPUT[1]] + 0.5
    centre, radii = (
        ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2),
        ((box[2] - box[0]) / 2, (box[3] - box[1]) / 2),
    )
    true = (((x - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2 < 1).astype(np.float32)
    target = project_masks_on_boxes(
        torch.from_numpy(true)[None], torch.tensor([box]), torch.tensor([0]), 28
    ).clamp(1e-4, 1 - 1e-4)
    made = make(MaskRcnn, side=240)
    plant(monkeypatch, made, [box])
    logits = torch.full((1, 91, 28, 28), -9.0)
    logits[0, 1] = target.logit()
    monkeypatch.setattr(made._network.roi_heads.mask_predictor, "forward", lambda features: logits)
    extractor = MaskRcnnMask(MaskExtraction(backend="torchvision", short_side=40))
    extractor.start(*FRAME)
    (stored,) = map(extractor.store, extractor.process(made.infer(moving(1, *FRAME))))
    found = decode(stored, 1)[..., 0] / 255
    expected = true.reshape(STORED[0], 6, STORED[1], 6).mean(axis=(1, 3))
    assert np.abs(found - expected).mean() < 0.012
    for axis in (0, 1):
        place = np.arange(found.shape[1 - axis]) + 0.5
        centres = [(picture.sum(axis=axis) * place).sum() / picture.sum() for picture in (found, expected)]
        # Half a pixel of the network's input would be .083 of these.
        assert centres[0] == pytest.approx(centres[1], abs=0.03)


def test_perfect_keypoint_head_gives_the_true_points(make, moving, monkeypatch):
    boxes = [[40.0, 30.0, 152.0, 198.0], [200.3, 11.8, 297.1, 233.9]]
    rng = np.random.default_rng(0)
    box_P14 = np.array(boxes, np.float32)[:, None]
    true = rng.uniform(box_P14[..., :2], box_P14[..., 2:], (2, 17, 2)).astype(np.float32)
    cell = (box_P14[..., 2:] - box_P14[..., :2]) / 56
    in_cells = (true - box_P14[..., :2]) / cell
    x, y = (-((in_cells[..., axis, None] - np.arange(56) - 0.5) ** 2) for axis in (0, 1))
    logits = torch.from_numpy(y[..., :, None] + x[..., None, :])
    labelled = torch.from_numpy(np.append(true, np.ones((2, 17, 1), np.float32), axis=2))
    target, valid = keypoints_to_heatmap(labelled, torch.tensor(boxes), 56)
    assert valid.all()
    assert (logits.flatten(2).argmax(2) == target).all(), "what the head is trained to say"

    made = make(KeypointRcnn, side=240)
    plant(monkeypatch, made, boxes, scores=[1.0, 0.5])
    monkeypatch.setattr(made._network.roi_heads.keypoint_predictor, "forward", lambda features: logits)
    extractor = KeypointRcnnPose(PoseExtraction(backend="torchvision"))
    extractor.start(*FRAME)
    (stored,) = map(extractor.store, extractor.process(made.infer(moving(1, *FRAME))))
    found = stored[:, :, :2] * np.float32([INPUT[1], INPUT[0]])
    assert np.abs(found - true).max() < 1.2, "px of the network's input"
    assert np.abs((found - true).mean(axis=1)).max() < 0.25, "no shift"
    ratio = stored[0, :, 2] / stored[1, :, 2]
    np.testing.assert_allclose(ratio, 2, atol=0.2)
    assert stored[0, 11, 2] > 0.9


def test_other_classes_are_no_persons(make, moving, monkeypatch):
    made = make(MaskRcnn)
    with monkeypatch.context() as patch:
        plant(
            patch,
            made,
            [[0.0, 0, 9, 9], [1, 2, 30, 40], [2, 2, 9, 9]],
            labels=[3, 1, 90],
            scores=[0.9, 0.8, 0.7],
        )
        (found,) = made.infer(moving(1, 90, 130))
    np.testing.assert_allclose(found.scores_P, [0.8], atol=1e-6)


def test_wide_frames_are_scaled_further_down(make, moving):
    (found,) = make(KeypointRcnn).infer(moving(1, 30, 300))
    assert found.boxes_P4[:, 0::2].max() < 301
    assert found.boxes_P4[:, 1::2].max() < 31
    assert found.boxes_P4[:, 0::2].max() > 200


def test_weights_are_named_among_the_parameters():
    mask = MaskRcnnMask(MaskExtraction(backend="torchvision")).parameters
    assert mask["weights"].startswith("maskrcnn_resnet50_fpn_v2")
    assert mask["torchvision"]["score"] == 0.8
    pose = KeypointRcnnPose(PoseExtraction(backend="torchvision")).parameters
    assert pose["weights"].startswith("keypointrcnn_resnet50_fpn")


def test_video_to_shards(make, moving, write_video, tmp_path, monkeypatch):
    """Flow, mask and pose of one video in one pass; every frame has its entry."""
    monkeypatch.setattr(raft, "load_weights", lambda network, name: None)
    video = write_video(tmp_path / "video.mp4", moving(4, 48, 64), codec="libx264")
    options = {"frame_short_side": 64, "score": 0.0, "persons": 2}
    settings = {
        Raft: FlowExtraction(backend="raft", raft={"model": "small", "updates": 1}, short_side=24),
        MaskRcnnMask: MaskExtraction(backend="torchvision", torchvision=options, short_side=24),
        KeypointRcnnPose: PoseExtraction(backend="torchvision", torchvision=options, short_side=24),
    }
    outputs = [Output(kind(section), tmp_path / f"{kind.view}.h5") for kind, section in settings.items()]
    extract({"video": video}, outputs, resources=Resources(threads=1, device="cpu"), batch_size=3)
    flow, mask, pose = (Shard(output.path) for output in outputs)
    assert [shard.videos["video"].frames for shard in (flow, mask, pose)] == [4, 4, 4]
    assert "weights" in flow.parameters
    assert "detectron2" not in mask.parameters
    assert flow.read("video", np.arange(4)).shape == (4, 24, 32, 2)
    assert mask.read("video", np.arange(4)).shape == (4, 24, 32, 1)
    assert all(len(persons) <= 2 for persons in pose.keypoints("video"))


def nearest(ours, theirs) -> np.ndarray:
    """The place among their boxes of the one next to each of ours: equal scores may change places."""
    return np.abs(ours.boxes_P4[:, None] - theirs.boxes_P4).max(axis=2).argmin(axis=1)


def apart(ours, theirs) -> dict[str, float]:
    """How far results are apart: median over the persons of boxes and points, the rest at most."""
    same = [(a, b, nearest(a, b)) for a, b in zip(ours, theirs, strict=True)]
    found = {
        "boxes": np.median([np.abs(a.boxes_P4 - b.boxes_P4[k]).max(axis=1) for a, b, k in same]),
        "scores": max(np.abs(a.scores_P - b.scores_P[k]).max() for a, b, k in same),
    }
    if ours[0].masks_P is not None:
        masks = [np.abs(np.stack(a.masks_P) - np.stack(b.masks_P)[k]) for a, b, k in same]
        return {**found, "masks": np.mean(masks)}
    points = [np.abs(a.keypoints_PJ3 - b.keypoints_PJ3[k]) for a, b, k in same]
    return {**found, "points": np.median([p[..., :2] for p in points])}


def remade(make, network):
    """Another one with the same weights, made now."""
    here = make(network)
    there = network(here._options, Resources(threads=1, device="auto"))
    there._network.load_state_dict(here._network.state_dict())
    return there


#: px, and probabilities. Measured: up to 3e-4 px, 2e-7, 9e-7 and 8e-5 px; in half precision .11 px, 1.5e-4,
#: 5e-4 and .05 px.
WITHOUT_HALF = {"boxes": 0.01, "scores": 1e-5, "masks": 1e-4, "points": 0.01}
WITH_HALF = {"boxes": 0.5, "scores": 2e-3, "masks": 5e-3, "points": 0.5}


@pytest.mark.filterwarnings("ignore:In CPU autocast")
@pytest.mark.parametrize(("half", "limits"), [("float32", WITHOUT_HALF), ("float16", WITH_HALF)])
@pytest.mark.parametrize("network", NETWORKS)
def test_a_gpus_path_agrees_with_the_cpus(make, moving, monkeypatch, as_on_a_gpu, network, half, limits):
    """On the CPU: frames scaled by torch, batches, channels last, casts, scores read in torch."""
    frames = moving(3, 90, 130, step=5)
    expected = make(network).infer(frames)
    as_on_a_gpu(half)
    monkeypatch.setattr(rcnn, "at_once", lambda device, each: 2)
    measured = apart(remade(make, network).infer(frames), expected)
    assert all(value <= limits[name] for name, value in measured.items()), measured


@pytest.mark.parametrize("network", NETWORKS)
def test_nothing_leaves_a_gpu_in_half_precision(make, moving, monkeypatch, as_on_a_gpu, network):
    """bfloat16 would stop numpy. Proposals, boxes and logits have never been in it."""
    as_on_a_gpu("bfloat16")
    made = remade(make, network)
    heads, seen = made._network.roi_heads, []
    decode_boxes = heads.postprocess_detections

    def note(logits, offsets, proposals, sizes):
        seen.extend([logits.dtype, offsets.dtype, *(boxes.dtype for boxes in proposals)])
        return decode_boxes(logits, offsets, proposals, sizes)

    monkeypatch.setattr(heads, "postprocess_detections", note)
    features = []
    made._network.backbone.register_forward_hook(lambda module, x, y: features.extend(y.values()))
    for persons in made.infer(moving(2, 90, 130)):
        values = persons.keypoints_PJ3 if persons.masks_P is None else np.stack(persons.masks_P)
        for result in (persons.boxes_P4, persons.scores_P, values):
            assert result.dtype == np.float32
            assert np.isfinite(result).all()
    assert set(seen) == {torch.float32}
    assert {x.dtype for x in features} == {torch.bfloat16}


def test_heatmaps_are_read_without_waiting_for_the_device():
    """Heatmaps on torch's meta device, which has no values, and the boxes on the CPU, as in the pose view."""
    boxes = torch.tensor([[10.0, 20, 40, 100], [0, 0, 6, 8]])
    points, _ = heatmaps_to_keypoints(torch.zeros(2, 17, 56, 56, device="meta"), boxes)
    assert points.device.type == "meta"
    scores = pose_persons._certainty_in_torch(
        torch.zeros(2, 17, 56, 56, device="meta"), boxes.to("meta"), points[:, :, :2]
    )
    assert scores.device.type == "meta"
    assert scores.shape == (2, 17)


@pytest.mark.parametrize("network", NETWORKS)
def test_frames_without_persons_on_a_gpu(make, moving, monkeypatch, as_on_a_gpu, network):
    as_on_a_gpu("float16")
    made = remade(make, network)
    plant(monkeypatch, made, [[0.0, 0, 9, 9], [1, 2, 30, 40]], labels=[0, 0])
    assert [len(persons.scores_P) for persons in made.infer(moving(2, 90, 130))] == [0, 0]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("network", NETWORKS)
def test_gpu_agrees_with_the_cpu(make, moving, network):
    frames = moving(3, 90, 130)
    measured = apart(remade(make, network).infer(frames), make(network).infer(frames))
    assert all(value <= WITH_HALF[name] for name, value in measured.items()), measured
