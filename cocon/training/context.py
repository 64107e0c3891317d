"""The context of a training run: processes, seed, checkpoints and logging."""

from __future__ import annotations

from dataclasses import dataclass

from cocon.training.devices import World
from cocon.training.log import Reporter
from cocon.training.loggers import Loggers
from cocon.training.state import RunState


@dataclass(frozen=True)
class RunContext:
    """The context of one training run. Each command creates it once; the loop uses it.

    Attributes:
        world: device and processes.
        seed: seeds order, augmentation and dropout.
        state: where checkpoints are kept.
        reporter: where progress is printed.
        loggers: where the curves go.
    """

    world: World
    seed: int
    state: RunState
    reporter: Reporter
    loggers: Loggers
