"""The best epoch of a training so far: its figure, and the state of the module after it."""

from __future__ import annotations

import math
from typing import Any, Literal

from torch import nn

from cocon.training.state import RunState


class BestEpoch:
    """The epoch with the lowest figure.

    Its state is written together with the next checkpoint, which holds the figure: so what is on disk fits
    together at any time.

    Args:
        state: where it is written.
        of_equal: which of epochs with equal figures is the best.
        keep: whether the state is kept at all, in this process.
    """

    def __init__(self, state: RunState, of_equal: Literal["first", "last"], *, keep: bool) -> None:
        self.figure = math.inf
        self._state, self._of_equal, self._keep = state, of_equal, keep
        self._unwritten: dict[str, Any] | None = None

    def note(self, figure: float | None, module: nn.Module, epoch: int) -> None:
        """Copy the module after ``epoch`` epochs if none was better; None is an epoch without a figure."""
        last = self._of_equal == "last"
        if figure is None or not (figure < self.figure or (last and figure == self.figure)):
            return
        self.figure = figure
        if self._keep:
            weights = {name: x.detach().cpu().clone() for name, x in module.state_dict().items()}
            self._unwritten = {"module": weights, "epoch": epoch}

    def write(self) -> None:
        """Put the state on disk, if it is newer than the one there."""
        if self._unwritten is not None:
            self._state.save_best(self._unwritten)
            self._unwritten = None

    def load(self, module: nn.Module) -> int:
        """Give the module its best state; returns the epoch that it comes from."""
        best = self._state.load_best()
        module.load_state_dict(best["module"])
        return int(best["epoch"])
