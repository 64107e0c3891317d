"""What every training has besides its model and its clips."""

from __future__ import annotations

from dataclasses import dataclass

from cocon.training.devices import World
from cocon.training.log import Reporter
from cocon.training.loggers import Loggers
from cocon.training.state import RunState


@dataclass(frozen=True)
class RunContext:
    """One run of a training; each command makes it once, and its loop uses all of it.

    Attributes:
        world: device and processes.
        seed: of everything random in the loop: order, augmentation and dropout.
        state: where checkpoints are kept.
        reporter: where progress is printed.
        loggers: where the curves go.
    """

    world: World
    seed: int
    state: RunState
    reporter: Reporter
    loggers: Loggers
