"""RAFT and the detectors of persons, with random weights: frames/s.

The class of persons of an R-CNN gets a high bias, so that every proposal is one and the heads have as many
persons as they take at most: the rate is that of crowded frames. RTMPose gets four persons per frame,
whatever RTMDet has found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.on_gpu.rows import Measurement, Row, Skipped, Task, calls_per_second, forget_peak, peak_mb
from benchmarks.on_gpu.tvl1 import rendered
from cocon import assets
from cocon.backends import BACKENDS
from view_extractors.arguments import extractor_of
from view_extractors.base import Resources, resize
from view_extractors.networks import detectron2, rcnn
from view_extractors.networks.devices import half_precision
from view_extractors.networks.rtmdet import Boxes
from view_extractors.registry import to_install

SIZE, QUICK_SIZE = (240, 320), (64, 64)
PAIRS, FRAMES = 16, 16
#: x1, y1, x2, y2 of the persons for RTMPose, as parts of the frame
PERSONS = ((0.05, 0.1, 0.3, 0.9), (0.3, 0.2, 0.5, 0.95), (0.5, 0.05, 0.8, 0.7), (0.75, 0.3, 0.95, 1.0))
#: measured with their published weights, if these are in the cache
PUBLISHED = ("selfie", "movenet")
#: computes on the CPU
LEFT_OUT = ("blazepose",)


def measurements(task: Task) -> Iterator[Measurement]:
    for model in ("large", "small"):
        yield Measurement(f"raft {model}", 10, partial(raft, task, model))
    for view in ("mask", "pose"):
        for name, backend in BACKENDS[view].items():
            if name in RANDOM:
                yield Measurement(f"{view} {name}", 15, partial(detector, task, view, name))
            elif name in PUBLISHED:
                yield Measurement(f"{view} {name}", 10, partial(published, task, view, name))
            elif backend.package and name not in LEFT_OUT:
                raise ValueError(f"{view} {name} has no row")


def frames_of(task: Task, count: int) -> np.ndarray:
    """``uint8`` (count, H, W, 3)."""
    size = QUICK_SIZE if task.quick else SIZE
    return np.stack([resize(np.repeat(p[..., None], 3, -1), size) for p in rendered(count)])


def published(task: Task, view: str, name: str) -> Row:
    """Frames in the host's memory to persons there; weights are not downloaded."""

    def refuse(*_: object) -> None:
        raise Skipped("its weights are not in the cache")

    require(view, name)
    assets.fetch(name, refuse)
    extractor = extractor_of(view, f"{{backend: {name}}}")
    kind: Any = extractor.network
    network = kind(extractor.options, Resources(1, task.device))
    network.start()
    frames = list(frames_of(task, 2 if task.quick else 8 * FRAMES))
    return timed(task, partial(network.infer, frames), len(frames), "frames/s", "tf32")


def require(view: str, name: str) -> None:
    if advice := to_install(BACKENDS[view][name]):
        raise Skipped(f"not installed: {advice}")


def raft(task: Task, model: str) -> Row:
    """Pairs of pictures in the host's memory to flow there; the flow against the CPU's within 10 %."""
    require("flow", "raft")
    with patch("view_extractors.flow.raft.load_weights"):
        extractor: Any = extractor_of("flow", f"{{backend: raft, raft: {{model: {model}}}}}")
        torch.manual_seed(0)
        extractor.prepare(Resources(1, task.device))
        torch.manual_seed(0)
        on_cpu: Any = extractor_of("flow", f"{{backend: raft, raft: {{model: {model}}}}}")
        on_cpu.prepare(Resources(1, "cpu"))
    pictures = frames_of(task, 2 if task.quick else 1 + PAIRS)
    ours, found = on_cpu.flows(pictures[:2]), extractor.flows(pictures[:2])
    apart = float(np.abs(found - ours).mean() / max(np.abs(ours).mean(), 1e-6))
    pairs = len(pictures) - 1
    row = timed(task, partial(extractor.flows, pictures), pairs, "pairs/s", "bf16")
    return {**row, "agrees": apart < 0.1, "apart": float(f"{apart:.2g}")}


class Detector(NamedTuple):
    """How a backend is measured with random weights.

    Attributes:
        loading: the function that would load its weights.
        small: its options for the smoke test.
        crowd: fills frames with persons; the frames have this height and width.
        backbones: the parts whose features are compared, and the size of their input, px.
    """

    loading: str
    small: str
    crowd: Callable[[Any, int, int], None]
    backbones: Callable[[Any], Sequence[tuple[Any, tuple[int, int]]]]


def crowded(label: int, network: Any, height: int, width: int) -> None:
    """Every proposal of an R-CNN is a person."""
    with torch.no_grad():
        network._network.roi_heads.box_predictor.cls_score.bias[label] += 10


def four_persons(network: Any, height: int, width: int) -> None:
    """Four boxes in every frame, after RTMDet has looked for its own."""
    boxes = Boxes(np.float32(PERSONS) * np.float32([width, height] * 2), np.ones(len(PERSONS), np.float32))
    detect = network._detector

    def found(frames: Any) -> list[Boxes]:
        return [boxes for _ in detect(frames)]

    network._detector = found


def of_rcnn(network: Any) -> list[tuple[Any, tuple[int, int]]]:
    return [(network._network.backbone, (64, 64))]


def of_rtm(network: Any) -> list[tuple[Any, tuple[int, int]]]:
    return [
        (network._detector._network.module.backbone, (64, 64)),
        (network._network.module.backbone, (256, 192)),
    ]


#: backends that run with random weights, by name
RANDOM = {
    "torchvision": Detector(
        "view_extractors.networks.rcnn.load_weights",
        "torchvision: {frame_short_side: 64}",
        partial(crowded, rcnn.PERSON),
        of_rcnn,
    ),
    "detectron2": Detector(
        "view_extractors.networks.detectron2.load_published",
        "detectron2: {frame_short_side: 64}",
        partial(crowded, detectron2.PERSON),
        of_rcnn,
    ),
    "mmpose": Detector(
        "view_extractors.networks.openmmlab.load_published",
        "mmpose: {model: rtmpose-t, detector: rtmdet-tiny, score: 0}",
        four_persons,
        of_rtm,
    ),
}
#: options without the smoke test
USUAL = {"mmpose": "mmpose: {score: 0}"}


def detector(task: Task, view: str, name: str) -> Row:
    """Frames in the host's memory to persons there; the features against the CPU's within 2 %."""
    require(view, name)
    how = RANDOM[name]
    options = how.small if task.quick else USUAL.get(name, "")
    extractor = extractor_of(view, f"{{backend: {name}{', ' * bool(options)}{options}}}")
    kind: Any = extractor.network
    networks: list[Any] = []
    with patch(how.loading):
        for device in (task.device, "cpu"):
            torch.manual_seed(0)
            networks.append(kind(extractor.options, Resources(1, device)))
    apart = features_apart(how, *networks)
    network = networks[0]
    frames = list(frames_of(task, 2 if task.quick else FRAMES))
    how.crowd(network, *frames[0].shape[:2])
    persons = float(np.mean([len(found.boxes_P4) for found in network.infer(frames)]))
    row = timed(task, partial(network.infer, frames), len(frames), "frames/s", "bf16")
    return {**row, "agrees": apart < 0.02, "apart": float(f"{apart:.2g}"), "persons": round(persons, 1)}


def features_apart(how: Detector, ours: Any, theirs: Any) -> float:
    """Mean distance of the finest features, relative to their mean size; the largest of all backbones."""
    found = []
    for (mine, size), (other, _) in zip(how.backbones(ours), how.backbones(theirs), strict=True):
        x_BCHW = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode(), half_precision(ours._device):
            a = finest(mine(x_BCHW.to(ours._device)))
        with torch.inference_mode():
            b = finest(other(x_BCHW))
        found.append(float((a - b).abs().mean() / b.abs().mean()))
    return max(found)


def finest(features: Any) -> torch.Tensor:
    """The largest level, float32 on the CPU."""
    levels = features.values() if isinstance(features, dict) else features
    result: torch.Tensor = max(levels, key=lambda x: x.shape[-1]).float().cpu()
    return result


def timed(task: Task, call: Any, items: int, unit: str, peak: str) -> Row:
    """The rate of calls that take so many items."""
    with FlopCounterMode(display=False) as counter:
        call()
    flop = counter.get_total_flops()
    forget_peak(task.place)
    rate = calls_per_second(call, task.place, task.seconds(2))
    return {
        "rate": round(rate * items, 1),
        "unit": unit,
        "share": task.share(rate * flop, peak) if flop else None,
        "memory_mb": peak_mb(task.place),
        "gflop_each": round(flop / items / 1e9, 1) if flop else None,
    }
