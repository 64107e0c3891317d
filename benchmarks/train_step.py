"""One training step with four views: the trainer, its switches, and a plain implementation of the same step.

    python -m benchmarks.train_step [--quick]

Networks, 8 x 5 frames, learning rate and loss have the authors' sizes; the batch is smaller, and with
``--quick`` so are the pictures. Each variant runs in a process of its own, on one thread and on the same
random bytes; the time is CPU time, the smallest of the steps after the first, and the memory the peak of
the process. The last line is one JSON object; ``ratio`` is the time of the plain step over that of the
trainer.

``torch.compile`` is only measured without ``--quick``: it compiles for minutes.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils.data import Dataset

from benchmarks import plain_step
from cocon.config.schema import Augmentation, Clip, Network, Pretraining, Stage
from cocon.data.augmentation import Augmenter
from cocon.data.clips import Clips
from cocon.data.network_input import to_network_input
from cocon.training.context import RunContext
from cocon.training.devices import World, keep_freed_memory
from cocon.training.initialise import initial_network
from cocon.training.log import Reporter
from cocon.training.loggers import Loggers
from cocon.training.state import RunState
from cocon.training.trainer import Trainer
from cocon.views import VIEWS

NETWORK = Network(dropout=0.0)
SWITCHES: dict[str, dict[str, Any]] = {
    "trainer": {},
    "channels_last_3d": {"channels_last_3d": True},
    "bf16": {"amp": "bf16"},
    "compile": {"compile": True},
}
PRODUCTS = ("convolution", "mm", "addmm", "bmm", "baddbmm", "linear")
QUICK_BATCH, BATCH, SEED = 2, 4, 0


class Noise(Dataset[Clips]):
    """Random bytes in the shape of clips."""

    per_video = 1

    def __init__(self, clip: Clip, count: int) -> None:
        self.clip, self.count = clip, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, key: tuple[int, int]) -> Clips:
        generator = torch.Generator().manual_seed(key[1])
        return Clips(
            str(key[1]),
            {
                view: torch.randint(
                    256, (self.clip.frames, size, size, VIEWS[view].channels), dtype=torch.uint8,
                    generator=generator,
                ).permute(0, 3, 1, 2)
                for view, size in self.clip.crop.items()
            },
        )  # fmt: skip


class Plain(Augmenter):
    """Bytes as network input, unchanged."""

    def batch(
        self, views: Mapping[str, Tensor], device: torch.device, generator: torch.Generator
    ) -> dict[str, Tensor]:
        return {view: to_network_input(x, view, self.clip) for view, x in views.items()}


def clip_of(quick: bool) -> Clip:
    return Clip(crop=dict.fromkeys(VIEWS, 64)) if quick else Clip()


def make_trainer(
    clip: Clip,
    batch: int,
    switches: dict[str, Any],
    folder: Path,
    device: torch.device | None = None,
    clips: Dataset[Clips] | None = None,
    network: Network = NETWORK,
) -> Trainer:
    """The trainer, by default on the CPU and of random bytes."""
    here = World(device or torch.device("cpu"))
    context = RunContext(here, SEED, RunState(folder, {}), Reporter("benchmark", silent=True), Loggers(None))
    return Trainer(
        context,
        {view: initial_network(view, network, SEED) for view in VIEWS},
        clips or Noise(clip, batch),  # type: ignore[arg-type]
        None,
        stage=Stage(epochs=1000, batch_size=batch),
        epochs=1000,
        settings=Pretraining(**switches),
        preset="cocon",
    )


def plain_steps(trainer: Trainer, clip: Clip) -> Any:
    """The plain step, from the weights and with the settings of the trainer."""
    models = torch.nn.ModuleDict(
        {
            view: plain_step.View(VIEWS[view].channels, NETWORK.layers, NETWORK.width, NETWORK.features)
            for view in VIEWS
        }
    )
    for view, network in trainer.networks.items():
        plain_step.copy_weights(network, models[view])
    loss = trainer.pretraining.loss
    optimiser = torch.optim.Adam(models.parameters(), trainer.schedule.learning_rate, weight_decay=1e-5)

    def step(batch: Clips) -> float:
        inputs = {view: to_network_input(x, view, clip).contiguous() for view, x in batch.views.items()}
        outputs = {view: models[view](x, clip.predicted_blocks) for view, x in inputs.items()}
        total = plain_step.loss_of(outputs, loss.temperature, loss.cooperation)
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        return total.item()

    return step


def measure(variant: str, quick: bool, steps: int) -> dict[str, Any]:
    """In a process of its own: first loss, CPU seconds of the fastest step, peak memory in MiB, shares."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    clip, batch = clip_of(quick), QUICK_BATCH if quick else BATCH
    if variant != "plain":
        keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        trainer = make_trainer(clip, batch, SWITCHES.get(variant, {}), Path(folder))
        data = next(iter(trainer.loader))
        trainer.model.train()
        if variant == "plain":
            step = plain_steps(trainer, clip)
            del trainer
        else:
            augment, trainer.augment = trainer.augment, Plain(Augmentation(), clip)

            def step(data: Clips) -> float:
                return trainer.train_step([data]).read()["loss"]

        losses, seconds = [], []
        for _ in range(1 + steps):
            start = time.process_time()
            losses.append(step(data))
            seconds.append(time.process_time() - start)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        profiled = {}
        if variant == "trainer":
            trainer.augment = augment
            profiled = shares(trainer, data)
    return {
        "shares": profiled,
        "loss": losses[0],
        "seconds": min(seconds[1:]),
        "first": seconds[0],
        "peak": peak,
    }


def shares(trainer: Trainer, data: Clips) -> dict[str, float]:
    """Shares of the CPU time of a step, augmentation included, by kind of operation."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        trainer.train_step([data])
    events = [(event.key, event.self_cpu_time_total) for event in profiler.key_averages()]
    total = sum(time for _, time in events)
    by_name = {name.removeprefix("aten::"): time / total for name, time in events}
    products = {name: s for name, s in by_name.items() if any(part in name.split("_") for part in PRODUCTS)}
    others = sorted(((s, name) for name, s in by_name.items() if name not in products), reverse=True)
    return {"products": sum(products.values())} | {name: share for share, name in others[:12]}


def in_a_process(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.train_step", *arguments]
    output = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ).stdout
    answer: dict[str, Any] = json.loads(output.splitlines()[-1])
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller pictures and batch, under 50 s")
    parser.add_argument("--variant", help=argparse.SUPPRESS)
    options = parser.parse_args()
    quick = ["--quick"] if options.quick else []
    if options.variant:
        print(json.dumps(measure(options.variant, options.quick, 1 if options.quick else 2)))
        return
    variants = ["plain", *SWITCHES][: -1 if options.quick else None]
    clips = QUICK_BATCH if options.quick else BATCH
    figures, share = {}, 0.0
    for variant in variants:
        found = in_a_process("--variant", variant, *quick)
        figures[variant] = {
            "cpu_seconds": round(found["seconds"], 3),
            "clips_per_second": round(clips / found["seconds"], 3),
            "peak_mb": round(found["peak"]),
            "first_loss": round(found["loss"], 3),
            "first_step_seconds": round(found["first"], 1),
        }
        print(
            f"{variant:<17} {found['seconds']:7.2f} CPU s a step {clips / found['seconds']:6.2f} clips/s "
            f"{found['peak']:6.0f} MiB  first loss {found['loss']:.3f}",
            flush=True,
        )
        if found["shares"]:
            share = found["shares"].pop("products")
            print(f"  of it, augmentation included, convolutions and matrix products {share:.1%}; then")
            print("  " + ", ".join(f"{name} {part:.1%}" for name, part in found["shares"].items()))
    ratio = figures["plain"]["cpu_seconds"] / figures["trainer"]["cpu_seconds"]
    print(json.dumps({"ratio": round(ratio, 3), "clips": clips, "products": round(share, 3), **figures}))


if __name__ == "__main__":
    main()
