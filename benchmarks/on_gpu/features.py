"""Features of whole videos, as ``cocon features`` computes them: windows/s."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.on_gpu import shards
from benchmarks.on_gpu.rows import Measurement, Row, Task, calls_per_second, forget_peak, peak_mb
from benchmarks.on_gpu.steps import SMALL, SMALL_CLIP
from benchmarks.train_step import NETWORK, SEED, clip_of
from cocon.data.crops import crop_size
from cocon.evaluation.encode import encode_videos
from cocon.models.network import ViewNetwork
from cocon.shards import ShardSet
from cocon.training.devices import autocast
from cocon.training.initialise import initial_network
from cocon.views import VIEWS
from view_extractors.arguments import available_cores

BATCH = 16


def measurements(task: Task) -> Iterator[Measurement]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        videos = 2 if task.quick else 96
        sets = shards.write(folder, videos, 24 if task.quick else 180)
        yield Measurement("features check", 15, partial(check, task, sets["rgb"]))
        yield Measurement("features rgb, network alone", 6, partial(alone, task))
        for view in ("rgb", "pose"):
            yield Measurement(f"features {view}", 15, partial(of_videos, task, sets[view], videos))


def network_of(task: Task, view: str) -> ViewNetwork:
    return initial_network(view, SMALL if task.quick else NETWORK, SEED)


def encoded(task: Task, shards_: ShardSet, videos: int, device: torch.device, workers: int) -> Any:
    clip = SMALL_CLIP if task.quick else clip_of(False)
    ids = [str(number) for number in range(videos)]
    return encode_videos(
        network_of(task, shards_.view),
        shards_,
        ids,
        clip,
        pretraining="random",
        device=device,
        batch_size=BATCH,
        workers=workers,
        half=True,
    )


def check(task: Task, shards_: ShardSet) -> Row:
    """The features of a video against the CPU's, which are not in half precision."""
    ours = encoded(task, shards_, 1, torch.device("cpu"), 0)
    found = encoded(task, shards_, 1, task.place, 0)
    apart = {}
    for name in ("encoder", "encoder_max", "context"):
        wanted = getattr(ours, name)
        apart[name] = float(np.abs(getattr(found, name) - wanted).mean() / np.abs(wanted).mean())
    return {"agrees": max(apart.values()) < 0.01, **{k: float(f"{v:.2g}") for k, v in apart.items()}}


def alone(task: Task) -> Row:
    """The network on windows that are on the device."""
    clip = SMALL_CLIP if task.quick else clip_of(False)
    network = network_of(task, "rgb").to(task.place).eval()
    side = crop_size(clip, "rgb")
    shape = (BATCH, clip.blocks, VIEWS["rgb"].channels, clip.frames_per_block, side, side)
    x_BNCKHW = torch.randn(shape, device=task.place)

    half = "fp16" if task.place.type == "cuda" else "off"

    @torch.inference_mode()
    def call() -> None:
        with autocast(task.place, half):
            network.context(network.encode(x_BNCKHW))

    with FlopCounterMode(display=False) as counter:
        call()
    forget_peak(task.place)
    rate = calls_per_second(call, task.place, task.seconds(2))
    return {
        "rate": round(rate * BATCH, 1),
        "unit": "windows/s",
        "share": task.share(rate * counter.get_total_flops(), "bf16"),
        "memory_mb": peak_mb(task.place),
        "gflop_per_window": round(counter.get_total_flops() / BATCH / 1e9, 2),
    }


def of_videos(task: Task, shards_: ShardSet, videos: int) -> Row:
    """From shards, with as many workers as there are cores, their start included."""
    workers = 0 if task.quick else max(1, min(available_cores() - 1, 16))
    forget_peak(task.place)
    began = time.perf_counter()
    windows = int(encoded(task, shards_, videos, task.place, workers).windows.sum())
    took = time.perf_counter() - began
    return {
        "rate": round(windows / took, 1),
        "unit": "windows/s",
        "memory_mb": peak_mb(task.place),
        "windows": windows,
        "workers": workers,
    }
