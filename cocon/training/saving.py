"""When a loop writes its checkpoints, and which one it resumes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

from cocon.config.schema import Training
from cocon.training.best import BestEpoch
from cocon.training.context import RunContext

#: seconds between the checkpoints of two epochs, at least: one takes as long as an epoch of few videos
_APART = 60.0


class Checkpoints:
    """The checkpoints of a run, by the clock and by epochs.

    Args:
        context: of the run.
        settings: ``checkpoint_every`` and ``checkpoint_minutes``.
        best: written along with each checkpoint.
    """

    def __init__(self, context: RunContext, settings: Training, best: BestEpoch) -> None:
        self._context, self._settings, self._best = context, settings, best
        self.start_clock()

    def start_clock(self) -> None:
        """Count the time to the next checkpoint from now."""
        self._saved_at = perf_counter()

    def due_within_epoch(self) -> bool:
        """Whether ``checkpoint_minutes`` have passed."""
        minutes = self._settings.checkpoint_minutes
        return bool(minutes) and perf_counter() - self._saved_at > 60 * minutes

    def due_after(self, epoch: int, epochs: int) -> bool:
        """Whether a checkpoint follows an epoch; the last has one, for what the caller does afterwards."""
        on_time = epoch % self._settings.checkpoint_every == 0
        return epoch == epochs or (on_time and perf_counter() - self._saved_at >= _APART)

    def save(self, content: Callable[[], Mapping[str, Any]], step: int) -> None:
        """Write a checkpoint, in the leading process.

        Args:
            content: makes what it holds.
            step: of the optimiser, from the beginning of the run.
        """
        self.start_clock()
        if self._context.world.leads:
            self._best.write()  # first: a checkpoint without the best state that it counts on is of no use
            self._context.state.save(content(), step)

    def to_resume(self, chosen: Path | None) -> Path | None:
        """The checkpoint to resume from; without one, unfinished runs with other settings are reported.

        Args:
            chosen: the one that was asked for; None: the newest.

        Raises:
            CheckpointError: in all processes, when there are checkpoints, but none that can be used.
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
