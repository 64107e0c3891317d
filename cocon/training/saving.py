"""Decides when a loop writes checkpoints and which one it resumes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

from cocon.config.schema import Training
from cocon.training.best import BestEpoch
from cocon.training.context import RunContext

#: least seconds between the checkpoints of two epochs: writing one takes as long as an epoch of few videos
_APART = 60.0


class Checkpoints:
    """Writes the checkpoints of a run, by time and by epochs.

    Args:
        context: of the run.
        settings: ``checkpoint_every`` and ``checkpoint_minutes``.
        best: written along with each checkpoint.
    """

    def __init__(self, context: RunContext, settings: Training, best: BestEpoch) -> None:
        self._context, self._settings, self._best = context, settings, best
        self.start_clock()

    def start_clock(self) -> None:
        """Restart the time to the next checkpoint."""
        self._saved_at = perf_counter()

    def due_within_epoch(self) -> bool:
        """Whether ``checkpoint_minutes`` have passed."""
        minutes = self._settings.checkpoint_minutes
        return bool(minutes) and perf_counter() - self._saved_at > 60 * minutes

    def due_after(self, epoch: int, epochs: int) -> bool:
        """Whether to write a checkpoint after an epoch; always after the last, for later steps of the
        caller."""
        on_time = epoch % self._settings.checkpoint_every == 0
        return epoch == epochs or (on_time and perf_counter() - self._saved_at >= _APART)

    def save(self, content: Callable[[], Mapping[str, Any]], step: int) -> None:
        """Write a checkpoint, in the leading process.

        Args:
            content: builds its content.
            step: optimiser steps since the beginning of the run.
        """
        self.start_clock()
        if self._context.world.leads:
            self._best.write()  # first: a checkpoint refers to this best state
            self._context.state.save(content(), step)

    def to_resume(self, chosen: Path | None) -> Path | None:
        """The checkpoint to resume from; if there is none, unfinished runs with other settings are reported.

        Args:
            chosen: the requested one; None: the newest.

        Raises:
            CheckpointError: in all processes, when there are checkpoints, but none is usable.
        """
        world, state, reporter = self._context.world, self._context.state, self._context.reporter
        path = chosen or world.of_leader(state.newest)
        if path is None and world.leads:
            for folder, changes in state.relatives():
                reporter.say(
                    f"starting at epoch 1; the unfinished run {folder} is another one (theirs -> ours):"
                )
                for change in changes:
                    reporter.say(f"    {change}")
        return path
