"""RAFT and the detectors of persons, with random weights: frames/s.

A detector's class of persons gets a high bias, so that every proposal is one and the heads have as many
persons as they take at most: the rate is that of crowded frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.on_gpu.rows import Measurement, Row, Skipped, Task, calls_per_second, forget_peak, peak_mb
from benchmarks.on_gpu.tvl1 import rendered
from cocon import assets
from cocon.backends import BACKENDS
from cocon.config.schema import RcnnParameters
from view_extractors.arguments import extractor_of
from view_extractors.base import Resources, resize
from view_extractors.networks.rcnn import PERSON, Rcnn
from view_extractors.registry import extractor_class, to_install

SIZE, QUICK_SIZE = (240, 320), (64, 64)
PAIRS, FRAMES = 16, 16
MEASURED = "torchvision"
#: measured with their published weights, if these are in the cache
PUBLISHED = ("selfie", "movenet")
#: computes on the CPU
LEFT_OUT = ("blazepose",)


def measurements(task: Task) -> Iterator[Measurement]:
    for model in ("large", "small"):
        yield Measurement(f"raft {model}", 10, partial(raft, task, model))
    for view in ("mask", "pose"):
        for name, backend in BACKENDS[view].items():
            if backend.package and name == MEASURED:
                yield Measurement(f"{view} {name}", 15, partial(detector, task, view))
            elif name in PUBLISHED:
                yield Measurement(f"{view} {name}", 10, partial(published, task, view, name))
            elif backend.package and name not in LEFT_OUT:
                yield Measurement(f"{view} {name}", 1, partial(other, view, name))


def frames_of(task: Task, count: int) -> np.ndarray:
    """``uint8`` (count, H, W, 3)."""
    size = QUICK_SIZE if task.quick else SIZE
    return np.stack([resize(np.repeat(p[..., None], 3, -1), size) for p in rendered(count)])


def other(view: str, name: str) -> Row:
    """The reason why there is no figure."""
    advice = to_install(BACKENDS[view][name])
    raise Skipped(f"not installed: {advice}" if advice else "it needs its published weights")


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


def detector(task: Task, view: str) -> Row:
    """Frames in the host's memory to persons there; the features against the CPU's within 2 %."""
    require(view, MEASURED)
    kind: Any = extractor_class(view, MEASURED).network
    assert issubclass(kind, Rcnn)
    options = RcnnParameters(frame_short_side=64) if task.quick else RcnnParameters()
    with patch("view_extractors.networks.rcnn.load_weights"):
        networks = []
        for device in (task.device, "cpu"):
            torch.manual_seed(0)
            networks.append(kind(options, Resources(1, device)))
    network: Any = networks[0]
    with torch.no_grad():
        network._network.roi_heads.box_predictor.cls_score.bias[PERSON] += 10
    frames = list(frames_of(task, 2 if task.quick else FRAMES))
    apart = features_apart(*networks)
    persons = float(np.mean([len(found.boxes_P4) for found in network.infer(frames)]))
    peak = "tf32" if torch.backends.cudnn.allow_tf32 else "fp32"
    row = timed(task, partial(network.infer, frames), len(frames), "frames/s", peak)
    return {**row, "agrees": apart < 0.02, "apart": float(f"{apart:.2g}"), "persons": round(persons, 1)}


def features_apart(ours: Any, theirs: Any) -> float:
    """Mean distance of the backbones' finest features, relative to their mean size."""
    x_BCHW = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        a, b = (n._network.backbone(x_BCHW.to(n._device))["0"].float().cpu() for n in (ours, theirs))
    return float((a - b).abs().mean() / b.abs().mean())


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
