"""Tracks the best epoch of a training: its figure and the module's weights after it."""

from __future__ import annotations

import math
from typing import Any, Literal

from torch import nn

from cocon.training.state import RunState


class BestEpoch:
    """The epoch with the lowest figure.

    Its weights are written together with the next checkpoint, which holds the figure, so the files on disk
    always match.

    Args:
        state: where it is written.
        of_equal: which epoch wins among those with equal figures.
        keep: whether this process stores the weights.
    """

    def __init__(self, state: RunState, of_equal: Literal["first", "last"], *, keep: bool) -> None:
        self.figure = math.inf
        self._state, self._of_equal, self._keep = state, of_equal, keep
        self._unwritten: dict[str, Any] | None = None

    def note(self, figure: float | None, module: nn.Module, epoch: int) -> None:
        """Copy the module after ``epoch`` epochs if it is the best so far; a figure of None means not
        measured."""
        last = self._of_equal == "last"
        if figure is None or not (figure < self.figure or (last and figure == self.figure)):
            return
        self.figure = figure
        if self._keep:
            weights = {name: x.detach().cpu().clone() for name, x in module.state_dict().items()}
            self._unwritten = {"module": weights, "epoch": epoch}

    def write(self) -> None:
        """Write the weights, if they are newer than those on disk."""
        if self._unwritten is not None:
            self._state.save_best(self._unwritten)
            self._unwritten = None

    def load(self, module: nn.Module) -> int:
        """Load the best weights into the module; returns their epoch."""
        best = self._state.load_best()
        module.load_state_dict(best["module"])
        return int(best["epoch"])
