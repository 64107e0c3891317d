"""Learning rate schedules, by steps of the optimiser."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from cocon.errors import ConfigError

Kind = Literal["plateau", "step", "cosine", "constant"]
_STEP = 0.1
_IMPROVEMENT = 1e-4  # least relative improvement on the best loss


class Schedule:
    """Learning rate of every step: a linear warm-up, then one of four schedules.

    - ``constant``: the same in every step.
    - ``step``: tenfold lower from every milestone on.
    - ``cosine``: half a cosine (Loshchilov and Hutter 2017) from the end of the warm-up down to the minimum.
    - ``plateau``: lower by ``factor`` whenever the loss given to :meth:`observe` has not improved for more
      than ``patience`` epochs.

    Args:
        kind: the schedule.
        learning_rate: the highest learning rate.
        epochs: length of the training.
        minimum: lower bound for cosine and plateau.
        warmup_epochs: length of the warm-up.
        milestones: of ``step``, as fractions of the epochs.
        factor: of ``plateau``.
        patience: of ``plateau``, epochs.

    Raises:
        ConfigError: when the learning rate is infinite or not above 0, or the warm-up is longer than the
            training.
    """

    def __init__(
        self,
        kind: Kind,
        learning_rate: float,
        epochs: int,
        *,
        minimum: float = 0.0,
        warmup_epochs: float = 0.0,
        milestones: Sequence[float] = (),
        factor: float = 0.1,
        patience: int = 10,
    ) -> None:
        if not (math.isfinite(learning_rate) and learning_rate > 0):
            raise ConfigError(
                f"a learning rate of {learning_rate:g} cannot be trained with", "give a number above 0"
            )
        if not warmup_epochs <= epochs:
            raise ConfigError(
                f"a warm-up of {warmup_epochs:g} epochs does not fit into {epochs} epochs",
                "lower warmup_epochs or warmup_steps",
            )
        self.kind, self.learning_rate, self.epochs = kind, learning_rate, epochs
        self.minimum = min(minimum, learning_rate)
        self.warmup_epochs, self.milestones = warmup_epochs, tuple(milestones)
        self.factor, self.patience = factor, patience
        self.drops = 0
        self.best = math.inf
        self.waited = 0

    def rate(self, epoch: int, step: int, steps: int) -> float:
        """The learning rate of step ``step`` of ``steps`` in an epoch; both counted from 0."""
        progress = epoch + step / steps
        if self.warmup_epochs and progress < self.warmup_epochs:
            return self.learning_rate * min(1.0, (progress + 1 / steps) / self.warmup_epochs)
        if self.kind == "step":
            return self.learning_rate * _STEP ** sum(epoch >= m * self.epochs for m in self.milestones)
        if self.kind == "cosine":
            part = (progress - self.warmup_epochs) / (self.epochs - self.warmup_epochs)
            return self.minimum + (self.learning_rate - self.minimum) * (1 + math.cos(math.pi * part)) / 2
        return max(self.minimum, self.learning_rate * self.factor**self.drops)

    def observe(self, loss: float) -> None:
        """Record the validation loss of an epoch; only ``plateau`` uses it."""
        if loss < self.best * (1 - _IMPROVEMENT):
            self.best, self.waited = loss, 0
            return
        self.waited += 1
        if self.waited > self.patience:
            self.drops, self.waited = self.drops + (self.kind == "plateau"), 0

    def state_dict(self) -> dict[str, Any]:
        """The state that :meth:`observe` changes."""
        return {"drops": self.drops, "best": self.best, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a :meth:`state_dict`."""
        self.drops, self.best, self.waited = state["drops"], state["best"], state["waited"]
