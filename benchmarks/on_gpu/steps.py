"""The pretraining step with four views, at 16 and 64 clips: with each switch, from memory and from shards,
compiled, and as a CUDA graph.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.on_gpu import shards
from benchmarks.on_gpu.rows import (
    Measurement,
    Row,
    Skipped,
    Task,
    calls_per_second,
    forget_peak,
    peak_mb,
    synchronise,
)
from benchmarks.train_step import NETWORK, clip_of, make_trainer
from cocon.config.schema import Augmentation, Clip, Network
from cocon.data.augmentation import Way, by_operations, way_on
from cocon.data.clips import ClipDataset, Clips
from cocon.training.devices import World, keep_freed_memory
from cocon.training.trainer import Trainer
from cocon.views import VIEWS
from view_extractors.arguments import available_cores

BATCHES = (64, 16)
SMALL = Network(layers=(1, 1, 1, 1), width=8, features=16, dropout=0.0)
SMALL_CLIP = Clip(blocks=4, frames_per_block=2, predicted_blocks=1, crop=dict.fromkeys(VIEWS, 32))
#: the defaults, but for one; tf32 matters where amp is off
VARIANTS: dict[str, dict[str, Any]] = {
    "amp off": {"amp": "off"},
    "amp, tf32 off": {"amp": "off", "tf32": False},
    "channels_last_3d off": {"channels_last_3d": False},
    "fused_optimiser off": {"fused_optimiser": False},
    "pin_memory off": {"pin_memory": False},
}
SECONDS = 3.0


def batches(task: Task) -> tuple[int, ...]:
    return (4, 2) if task.quick else BATCHES


def measurements(task: Task) -> Iterator[Measurement]:
    """The check and the rows from memory, without compilation."""
    yield Measurement("step check", 15, partial(check, task))
    for clips in batches(task):
        yield Measurement(f"step {clips}", 10, partial(from_memory, task, clips, {}))
    yield Measurement("step augmentation", 10, partial(augmentation, task, batches(task)[0]))
    for clips, (name, switches) in itertools.product(batches(task), VARIANTS.items()):
        yield Measurement(f"step {clips} {name}", 8, partial(from_memory, task, clips, switches))


def with_shards(task: Task) -> Iterator[Measurement]:
    """The rows from shards, with as many workers as there are cores."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        videos = max(batches(task))
        sets = shards.write(folder, videos, 24 if task.quick else 125)
        for clips in batches(task):
            yield Measurement(
                f"step {clips} from shards", 20, partial(from_shards, task, clips, sets, videos)
            )


def compiled(task: Task) -> Iterator[Measurement]:
    for clips in batches(task):
        yield Measurement(f"step {clips} compile", 60, partial(from_memory, task, clips, {"compile": True}))


def graphs(task: Task) -> Iterator[Measurement]:
    """What a CUDA graph of the step would gain."""
    for clips in batches(task):
        yield Measurement(f"step {clips} graph", 15, partial(as_a_graph, task, clips))


def trainer_of(task: Task, clips: int, folder: str, settings: dict[str, Any], data: Any = None) -> Trainer:
    """A trainer on the device."""
    clip, network = (SMALL_CLIP, SMALL) if task.quick else (clip_of(False), NETWORK)
    return make_trainer(clip, clips, settings, Path(folder), task.place, data, network)


def from_memory(task: Task, clips: int, switches: dict[str, Any]) -> Row:
    """One batch that lies in the host's memory, again and again; sent to the GPU and augmented each time."""
    if task.place.type == "cpu" and switches.get("compile"):
        raise Skipped("on a GPU only")
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_of(task, clips, folder, switches)
        data = next(iter(trainer.loader))
        return rate_of(task, trainer, clips, itertools.repeat(data))


def from_shards(task: Task, clips: int, sets: Any, videos: int) -> Row:
    """Batches as a training loads them, without a cache of frames."""
    clip = SMALL_CLIP if task.quick else clip_of(False)
    workers = 1 if task.quick else max(1, min(available_cores() - 1, 16))
    ids = [str(number) for number in range(videos)]
    data: Dataset[Clips] = ClipDataset(sets, ids, clip, Augmentation())
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_of(task, clips, folder, {"workers": workers}, data)
        row = rate_of(task, trainer, clips, epochs(trainer))
    return {**row, "workers": workers}


def augmentation(task: Task, clips: int) -> Row:
    """A batch on the device, of all views, by the kernels and by operations of torch.

    The share counts what has to be moved: every byte read once, and every value written once as float32.
    """
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_of(task, clips, folder, {})
        views = {view: x.to(task.place) for view, x in next(iter(trainer.loader)).views.items()}
        augmenter, clip = trainer.augment, trainer.clip
    draws = {}
    for view, x in views.items():
        drawn = augmenter._draw(len(x), x.shape[1], view, torch.Generator().manual_seed(0))
        draws[view] = {name: values.to(task.place) for name, values in drawn.items()}

    def by(way: Way) -> dict[str, torch.Tensor]:
        return {view: way(x, view, draws[view], clip) for view, x in views.items()}

    way = way_on(task.place)
    found, wanted = by(way), by(by_operations)
    apart = max(float((found[view] - wanted[view]).abs().max()) for view in views)
    del found, wanted
    forget_peak(task.place)
    rate = calls_per_second(lambda: by(way), task.place, task.seconds(1))
    memory = peak_mb(task.place)
    slower = calls_per_second(lambda: by(by_operations), task.place, task.seconds(1))
    return {
        "rate": round(rate * clips, 1),
        "unit": "clips/s",
        "share": task.share(rate * 5 * sum(x.numel() for x in views.values()), "copy"),
        "memory_mb": memory,
        "agrees": apart < 1e-3,
        "by_operations": round(slower * clips, 1),
        "fused": way is not by_operations,
    }


def epochs(trainer: Trainer) -> Iterator[Clips]:
    """The batches of all epochs."""
    for epoch in itertools.count():
        trainer.order.epoch = epoch
        yield from trainer.loader


def rate_of(task: Task, trainer: Trainer, clips: int, data: Iterator[Clips]) -> Row:
    """Steps one after the other; the values of each are read when the next is launched, as in a training."""
    device, compiled = task.place, trainer.switches.compiled
    if device.type == "cpu":
        keep_freed_memory()
    trainer.model.train()
    forget_peak(device)
    began = time.perf_counter()
    flop = None
    if compiled:
        trainer.train_step([next(data)]).read()
    else:
        with FlopCounterMode(display=False) as counter:
            trainer.train_step([next(data)]).read()
        flop = counter.get_total_flops() / clips
    first = time.perf_counter() - began
    for _ in range(1 if task.quick else 3):
        trainer.train_step([next(data)]).read()
    synchronise(device)
    waited, steps, unread = 0.0, 0, None
    began = time.perf_counter()
    seconds = task.seconds(SECONDS)
    while steps < 3 or time.perf_counter() - began < seconds:
        before = time.perf_counter()
        batch = next(data)
        waited += time.perf_counter() - before
        values = trainer.train_step([batch])
        if unread is not None:
            unread.read()
        unread = values
        steps += 1
    loss = unread.read()["loss"] if unread is not None else 0.0
    synchronise(device)
    took = time.perf_counter() - began
    rate = clips * steps / took
    switches = trainer.switches
    peak = "bf16" if switches.amp != "off" else "tf32" if switches.tf32 else "fp32"
    return {
        "rate": round(rate, 2),
        "unit": "clips/s",
        "share": task.share(rate * flop, peak) if flop else None,
        "memory_mb": peak_mb(device),
        "ms_per_step": round(1000 * took / steps, 1),
        "waiting": round(waited / took, 3),
        "gflop_per_clip": round(flop / 1e9, 2) if flop else None,
        "first_step_s": round(first, 1),
        "loss": round(loss, 3),
        "switches": str(switches),
    }


def as_a_graph(task: Task, clips: int) -> Row:
    """The step on inputs that stay on the device, as one CUDA graph; ``gain``: over the same step without.

    Augmentation, the schedule and the values for the log are left out. On a CPU there is no graph.
    """
    device = task.place
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_of(task, clips, folder, {})
        trainer.model.train()
        batch = next(iter(trainer.loader))
        inputs = trainer.augment.batch(batch.views, device, torch.Generator().manual_seed(0))
    gpu = device.type == "cuda"
    rate = torch.tensor(trainer.schedule.learning_rate, device=device)
    optimiser = torch.optim.Adam(
        trainer.parameters,
        rate,
        weight_decay=trainer.settings.weight_decay,
        fused=gpu or None,
        capturable=gpu,
    )

    def step() -> torch.Tensor:
        optimiser.zero_grad(set_to_none=True)  # a graph has its own memory for gradients
        loss = trainer.compare(inputs, batch.video_id)["loss"]
        loss.backward()
        optimiser.step()
        return loss.detach()

    plain = steps_per_second(step, task)
    forget_peak(device)
    replay, loss = captured(step, device)
    graph = steps_per_second(replay, task)
    return {
        "rate": round(clips * graph, 2),
        "unit": "clips/s",
        "memory_mb": peak_mb(device),
        "ms_per_step": round(1000 / graph, 1),
        "without_graph": round(clips * plain, 2),
        "gain": round(graph / plain, 3),
        "loss": round(float(loss), 3),
    }


def steps_per_second(step: Callable[[], object], task: Task) -> float:
    """No step waits for the one before, as in a training; the first two are not counted."""
    step()
    synchronise(task.place)
    began = time.perf_counter()
    step()
    synchronise(task.place)
    count = max(2, round(task.seconds(SECONDS) / (time.perf_counter() - began)))
    began = time.perf_counter()
    for _ in range(count):
        step()
    synchronise(task.place)
    return count / (time.perf_counter() - began)


def captured(
    step: Callable[[], torch.Tensor], device: torch.device
) -> tuple[Callable[[], object], torch.Tensor]:
    """A call that runs the step as a CUDA graph, and where the loss is then; on a CPU the step itself."""
    if device.type != "cuda":
        return step, step()
    side = torch.cuda.Stream(device)  # a capture must follow runs on another stream than the default one
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream(device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = step()
    return graph.replay, loss


def check(task: Task) -> Row:
    """Loss and gradient of the first step against the CPU's: float32 within .1 and 1 %, default 5 %."""
    clip, network = (SMALL_CLIP, SMALL) if task.quick else (clip_of(True), NETWORK)
    exact = {"amp": "off", "tf32": False}

    def values(place: torch.device, settings: dict[str, Any]) -> dict[str, float]:
        with tempfile.TemporaryDirectory() as folder:
            trainer = make_trainer(clip, 2, settings, Path(folder), place, None, network)
            trainer.model.train()
            assert trainer.world == World(place)
            return trainer.train_step([next(iter(trainer.loader))]).read()

    ours = values(torch.device("cpu"), exact)
    found, default = values(task.place, exact), values(task.place, {})

    def apart(a: dict[str, float], name: str) -> float:
        return abs(a[name] - ours[name]) / abs(ours[name])

    loss, gradient = apart(found, "loss"), apart(found, "gradient_norm")
    rounded = apart(default, "loss")
    return {
        "agrees": bool(loss < 1e-3 and gradient < 1e-2 and rounded < 0.05),
        "loss_apart": float(f"{loss:.2g}"),
        "gradient_apart": float(f"{gradient:.2g}"),
        "default_apart": float(f"{rounded:.2g}"),
    }
