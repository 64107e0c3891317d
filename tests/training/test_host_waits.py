"""Nothing in a training step waits for a GPU, and a step has few kernels; counted without one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import Dataset

from cocon.config.schema import Augmentation, Clip, Finetune, Network, Pretraining, Stage
from cocon.data.augmentation import Augmenter
from cocon.data.clips import Clips
from cocon.evaluation.classifier_trainer import ClassifierTrainer
from cocon.evaluation.labelled_clips import LabelledClip
from cocon.models.classifier import Classifier
from cocon.pretrainings import PRESETS
from cocon.training.context import RunContext
from cocon.training.devices import World
from cocon.training.initialise import initial_network
from cocon.training.log import Reporter
from cocon.training.loggers import Loggers
from cocon.training.state import RunState
from cocon.training.step import Optimisation
from cocon.training.trainer import Trainer
from cocon.views import VIEWS
from tests.counting import META, Counting, let_meta_pass_for_a_gpu

CLIP = Clip(blocks=4, frames_per_block=2, predicted_blocks=2, crop=dict.fromkeys(VIEWS, 32))
NETWORK = Network(layers=(1, 1, 1, 1), width=8, features=16)
TRAINED = ("rgb", "flow", "pose")
#: most kernels of a step of the preset cocon, by views, in float32: the casts of mixed precision are more
KERNELS = {("rgb",): 510, ("rgb", "flow", "mask", "pose"): 2160}
FLIPS = {f"{view}_flip": 0.5 for view in VIEWS}


@pytest.fixture(autouse=True)
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    let_meta_pass_for_a_gpu(monkeypatch)


@pytest.fixture
def context(tmp_path: Path) -> RunContext:
    reporter = Reporter("test", silent=True)
    return RunContext(World(META), 0, RunState(tmp_path / "state", {}), reporter, Loggers(None))


def noise(view: str, count: int, seed: int = 0) -> torch.Tensor:
    shape = (count, CLIP.frames, VIEWS[view].channels, 32, 32)
    return torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


class Noise(Dataset[Clips]):
    def __init__(self, views: tuple[str, ...], per_video: int) -> None:
        self.views, self.clip, self.per_video = views, CLIP, per_video

    def __len__(self) -> int:
        return 64

    def __getitem__(self, key: tuple[int, int]) -> Clips:
        views = {view: noise(view, 1, key[1])[0] for view in self.views}
        return Clips(str(key[1] // self.per_video), views)


class LabelledNoise(Dataset[LabelledClip]):
    view, clip = "rgb", CLIP

    def __len__(self) -> int:
        return 64

    def __getitem__(self, key: tuple[int, int]) -> LabelledClip:
        return LabelledClip(str(key[1]), noise("rgb", 1, key[1])[0], key[1] % 5)


def pretraining(
    context: RunContext,
    preset: str,
    batch: int,
    views: tuple[str, ...] = TRAINED,
    network: Network = NETWORK,
    accumulate: int = 1,
    **settings: Any,
) -> Trainer:
    return Trainer(
        context,
        {view: initial_network(view, network, 0) for view in views},
        Noise(views, PRESETS[preset].clips),  # type: ignore[arg-type]
        None,
        stage=Stage(epochs=3, batch_size=batch, accumulate=accumulate),
        epochs=3,
        settings=Pretraining.model_validate({"augmentation": FLIPS, **settings}),
        preset=preset,
    )


def finetuning(context: RunContext, batch: int, **settings: Any) -> ClassifierTrainer:
    return ClassifierTrainer(
        context,
        Classifier(initial_network("rgb", NETWORK, 0), 5, 0.5).to(context.world.device),
        LabelledNoise(),  # type: ignore[arg-type]
        Finetune.model_validate({"batch_size": batch, **settings}),
        section="finetune",
    )


def counted(trainer: Optimisation[Any], batches: int = 1) -> Counting:
    """The second step, and the reading of the first: constants are sent once."""
    trainer.model.train()
    loaded = iter(trainer.loader)  # type: ignore[attr-defined]
    windows = [[next(loaded) for _ in range(batches)] for _ in range(2)]
    with Counting():
        first = trainer.train_step(windows[0])
    with Counting() as counting:
        trainer.train_step(windows[1])
        first.read()
    return counting


@pytest.mark.parametrize("preset", PRESETS)
def test_a_step_of_pretraining_waits_for_nothing(context: RunContext, preset: str) -> None:
    """All views go to the device in a copy each, the random numbers of the batch in another."""
    counting = counted(pretraining(context, preset, 4, clip_gradient=1.0))
    assert counting.waits == []
    assert counting.sent == len(TRAINED) + 1 + (PRESETS[preset].clips > 1)  # which clips are of one video
    assert counting.fetched == 1


def test_accumulated_batches_are_fetched_together(context: RunContext) -> None:
    counting = counted(pretraining(context, "cocon", 4, accumulate=2), batches=2)
    assert counting.waits == []
    assert (counting.sent, counting.fetched) == (2 * (len(TRAINED) + 1), 1)


@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_a_step_of_fine_tuning_waits_for_nothing(context: RunContext, optimiser: str, jitter: float) -> None:
    counting = counted(finetuning(context, 8, optimiser=optimiser, jitter=jitter, clip_gradient=1.0))
    assert counting.waits == []
    assert (counting.sent, counting.fetched) == (3, 1)  # clips, labels and random numbers


@pytest.mark.parametrize("batch", [4, 16])
@pytest.mark.parametrize("views", KERNELS)
def test_a_step_has_few_kernels(context: RunContext, views: tuple[str, ...], batch: int) -> None:
    """With the layers of the default network, whatever the batch; an optimiser of single tensors has 3000."""
    network = Network(width=8, features=16)
    counting = counted(pretraining(context, "cocon", batch, views, network, clip_gradient=1.0))
    assert counting.operators["_fused_adam_"] == 1
    assert 0.95 * KERNELS[views] < sum(counting.operators.values()) <= KERNELS[views]


@pytest.mark.parametrize(("view", "kernels"), [("rgb", 60), ("flow", 12), ("mask", 8), ("pose", 8)])
def test_augmentation_has_few_kernels(view: str, kernels: int) -> None:
    augment = Augmenter(Augmentation.model_validate(FLIPS), CLIP)
    x, generator = {view: noise(view, 16)}, torch.Generator().manual_seed(0)
    augment.batch(x, META, generator)
    with Counting() as counting:
        augment.batch(x, META, generator)
    assert (counting.waits, counting.sent) == ([], 2)
    assert sum(counting.operators.values()) <= kernels


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        (lambda x: x.new_tensor([1.0, 2.0, 3.0]), "new_tensor"),
        (lambda x: torch.tensor([1.0], device=META), "tensor of"),
        (lambda x: torch.as_tensor([1.0], device=META), "as_tensor of"),
        (lambda x: torch.ones(3).to(META), "from cpu to meta"),
        (lambda x: x.copy_(torch.ones(3)), "from cpu to meta"),
        (lambda x: x.cpu(), "from meta to cpu"),
        (lambda x: x.tolist(), "from meta to cpu"),
        (lambda x: x[[0, 1]], "a list as index"),
        (lambda x: x[torch.tensor([0, 1])], "a tensor of the host"),
        (lambda x: x.__setitem__(x > 0, 1.0), "a mask as index"),
    ],
)
def test_waits_are_seen(fault: Callable[[torch.Tensor], Any], what: str) -> None:
    with Counting() as counting:
        fault(torch.empty(3, device=META))
    assert [what in wait for wait in counting.waits] == [True]


@pytest.mark.parametrize(
    "fault",
    [
        lambda x: x.sum().item(),
        lambda x: bool(x.sum() > 0),
        lambda x: x.nonzero(),
        lambda x: x[x > 0],
        lambda x: x.masked_select(x > 0),
        lambda x: x.unique(),
    ],
)
def test_values_cannot_be_asked_for(fault: Callable[[torch.Tensor], Any]) -> None:
    with pytest.raises((RuntimeError, NotImplementedError)), Counting():
        fault(torch.empty(3, device=META))
