"""Speed of training and inference: a few steps on noise, measured on this machine."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.utils.data import Dataset
from torch.utils.flop_counter import FlopCounterMode

from cocon.config.schema import Clip, Recipe
from cocon.data.clips import Clips
from cocon.data.network_input import to_network_input
from cocon.evaluation.features import ARRAYS
from cocon.evaluation.retrieval import KEPT_NEIGHBOURS, nearest
from cocon.models.network import ViewNetwork
from cocon.training.context import RunContext
from cocon.training.devices import World
from cocon.training.initialise import initial_network
from cocon.training.log import Reporter
from cocon.training.loggers import Loggers
from cocon.training.state import RunState
from cocon.training.trainer import Trainer
from cocon.views import VIEWS

#: clips per step on a CPU, where the time per clip hardly depends on it; a GPU gets the recipe's batch
_CPU_BATCH = 2
#: timed steps end after this many seconds; there is at least one
_PATIENCE = 3.0
#: rows and iterations that the cheap protocols are measured with
_ROWS, _ITERATIONS = 2000, 5


@dataclass(frozen=True)
class Rate:
    """What one clip costs.

    Attributes:
        seconds: measured on ``device``.
        flops: floating point operations, a multiplication and an addition being two.
        device: ``cpu`` or ``cuda``.
        threads: of the CPU.
    """

    seconds: float
    flops: float
    device: str
    threads: int

    def on(self, gpu_tflops: float | None) -> float:
        """Seconds: as measured, or on a GPU that sustains this many 10^12 operations per second."""
        return self.seconds if gpu_tflops is None else self.flops / (gpu_tflops * 1e12)


@dataclass(frozen=True)
class Rates:
    """What the networks and the protocols cost.

    Attributes:
        alone: a clip of stage 1, per view.
        judged: inference on a clip, per view.
        together: a clip of stage 2, all views.
        probe: seconds per training video and iteration of the linear probe.
        search: seconds per pair of a query and a gallery video.
        parameters: weights of a network, per view.
    """

    alone: dict[str, Rate]
    judged: dict[str, Rate]
    together: Rate
    probe: float
    search: float
    parameters: dict[str, int]


class _Noise(Dataset[Clips]):
    """Random bytes in the shape of clips."""

    per_video = 1

    def __init__(self, views: Sequence[str], clip: Clip, count: int) -> None:
        self.views, self.clip, self.count = views, clip, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, key: tuple[int, int]) -> Clips:
        return Clips(
            str(key[1]),
            {
                view: torch.randint(
                    256,
                    (self.clip.frames, VIEWS[view].channels, size, size),
                    dtype=torch.uint8,
                )
                for view, size in self.clip.crop.items()
                if view in self.views
            },
        )


def measure_rates(
    recipe: Recipe, views: Sequence[str], classes: int, device: torch.device, threads: int
) -> Rates:
    """Measure steps of stage 1 and stage 2, and inference, with the recipe's networks and sizes.

    Args:
        recipe: clip, network and pretraining.
        views: the views, together in stage 2.
        classes: of the linear probe.
        device: where the jobs will run, or the CPU.
        threads: of the CPU; the caller has set them.
    """
    alone: dict[str, Rate] = {}
    judged: dict[str, Rate] = {}
    parameters: dict[str, int] = {}
    for view in views:
        trainer, clips = _trainer(recipe, [view], device, "stage1")
        alone[view] = _rate(partial(trainer.train_step, [clips]), clips, device, threads)
        network = trainer.networks[view].eval()
        x_BNCKHW = to_network_input(clips.views[view].to(device), view, recipe.clip)
        judged[view] = _rate(partial(_judge, network, x_BNCKHW), clips, device, threads)
        parameters[view] = sum(p.numel() for p in network.parameters())
    trainer, clips = _trainer(recipe, views, device, "stage2")
    together = _rate(partial(trainer.train_step, [clips]), clips, device, threads)
    features = recipe.network.features
    probe = _probe_seconds(len(ARRAYS) * features, classes)
    return Rates(alone, judged, together, probe, _search_seconds(features), parameters)


def _probe_seconds(features: int, classes: int) -> float:
    """Of an iteration of logistic regression, per row."""
    generator = np.random.default_rng(0)
    x_ND = generator.normal(size=(max(_ROWS, 2 * classes), features)).astype(np.float32)
    labels_N = np.arange(len(x_ND)) % classes
    probe = LogisticRegression(max_iter=_ITERATIONS)
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        probe.fit(x_ND, labels_N)
    return (time.perf_counter() - began) / len(x_ND) / int(probe.n_iter_[0])


def _search_seconds(features: int) -> float:
    """Of comparing a query with a row of the gallery."""
    x_ND = np.random.default_rng(0).normal(size=(_ROWS, features)).astype(np.float32)
    began = time.perf_counter()
    nearest(x_ND, x_ND, KEPT_NEIGHBOURS)
    return (time.perf_counter() - began) / _ROWS**2


@torch.inference_mode()
def _judge(network: ViewNetwork, x_BNCKHW: Tensor) -> Tensor:
    return network.context(network.encode(x_BNCKHW))


def _trainer(recipe: Recipe, views: Sequence[str], device: torch.device, name: str) -> tuple[Trainer, Clips]:
    """A trainer and a batch for it."""
    stage = getattr(recipe.pretraining, name)
    batch = _CPU_BATCH if device.type == "cpu" else stage.batch_size
    with tempfile.TemporaryDirectory() as folder:  # nothing is saved: no epoch ends
        context = RunContext(
            World(device), 0, RunState(Path(folder), {}), Reporter("plan", silent=True), Loggers(None)
        )
        trainer = Trainer(
            context,
            {view: initial_network(view, recipe.network, 0) for view in views},
            _Noise(views, recipe.clip, batch),  # type: ignore[arg-type]
            None,
            stage=stage.model_copy(update={"batch_size": batch, "accumulate": 1}),
            epochs=1,
            settings=recipe.pretraining.model_copy(update={"workers": 0}),
            preset="cpc" if name == "stage1" else "cocon",
        )
    trainer.model.train()
    return trainer, next(iter(trainer.loader))


def _rate(step: Callable[[], object], clips: Clips, device: torch.device, threads: int) -> Rate:
    """Seconds and operations per clip of a step that has been done once before."""
    batch = len(clips.video_id)
    with FlopCounterMode(display=False) as counter:
        step()
    times: list[float] = []
    while not times or (sum(times) < _PATIENCE and len(times) < 20):
        _wait(device)
        began = time.perf_counter()
        step()
        _wait(device)
        times.append(time.perf_counter() - began)
    return Rate(min(times) / batch, counter.get_total_flops() / batch, device.type, threads)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
