"""The training loop that pretraining and fine-tuning share.

A subclass defines the loss of a batch (:meth:`Loop.loss_of`) and what is measured after an epoch
(:meth:`Loop.evaluate`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any, Literal, NoReturn

from torch import nn
from torch.utils.data import Dataset

from cocon.config.schema import Training
from cocon.data.batches import EpochBatches, steps_per_epoch
from cocon.data.clips import Key
from cocon.data.loader import Loader, workers_watched
from cocon.errors import CheckpointError
from cocon.loading import reading
from cocon.training.best import BestEpoch
from cocon.training.context import RunContext
from cocon.training.devices import Vote
from cocon.training.divergence import StepValues, check_validation
from cocon.training.interrupt import StopRequest, TrainingInterruptedError, stop_requests
from cocon.training.log import Averages, Row, Stopwatch, Timing
from cocon.training.saving import Checkpoints
from cocon.training.schedule import Schedule
from cocon.training.step import BatchT, Optimisation
from cocon.training.switches import Switches

_LOG_SECONDS = 1.0  # between two rows about single steps
_STARVED = 0.3  # share of an epoch spent waiting for data that is worth a warning


class Loop(Optimisation[BatchT]):
    """The training loop: epochs and steps, with checkpoints, signals, schedule, logs and divergence checks.

    Everything random is a function of (seed, epoch, batch, process). So a resumed run is bit-identical (on a
    CPU) to one that was never interrupted.

    Args:
        context: of the run.
        module: what is trained, in place; on the device of the context.
        clips: the training clips; keys are (epoch, number).
        settings: how the loop runs.
        section: name of these settings, for hints.
        schedule: the learning rate, and the number of epochs.
        batch_size: clips per batch and process.
        accumulate: batches per step.
        workers: processes that load batches; 0: this one.
        per_video: clips of a video in a batch.
        keep_best: also keep the module with the lowest :meth:`figure`, on a tie the first or the last; None:
            do not.
    """

    def __init__(
        self,
        context: RunContext,
        module: nn.Module,
        clips: Dataset[BatchT],
        *,
        settings: Training,
        section: str,
        schedule: Schedule,
        batch_size: int,
        accumulate: int,
        workers: int,
        per_video: int = 1,
        keep_best: Literal["first", "last"] | None = None,
    ) -> None:
        world, videos = context.world, len(clips)  # type: ignore[arg-type]
        steps = steps_per_epoch(videos, batch_size, accumulate=accumulate, size=world.size)
        super().__init__(
            module,
            world,
            context.seed,
            settings=settings,
            section=section,
            schedule=schedule,
            steps=steps,
            accumulate=accumulate,
        )
        self.epochs, self.batch_size = schedule.epochs, batch_size
        self.state, self.reporter, self.loggers = context.state, context.reporter, context.loggers
        self.best = BestEpoch(self.state, keep_best or "first", keep=keep_best is not None and world.leads)
        self.checkpoints = Checkpoints(context, settings, self.best)
        self.order = EpochBatches(
            videos, batch_size, seed=self.seed, rank=world.rank, size=world.size, per_video=per_video
        )
        self.workers = min(workers, steps * accumulate)
        self.loader = self.load(clips, self.order, self.workers)

        self.averages = Averages()
        self.timing = Timing()
        self.rows: list[Row] = []
        self._logged_at = perf_counter()
        self._unread: tuple[StepValues, Row, Row] | None = None

    def measure_start(self) -> Row:
        """Measurements before the first step; if not empty, they become a row of epoch 0."""
        return {}

    def evaluate(self) -> Row:
        """Measurements after an epoch; the plateau schedule uses ``validation/loss``."""
        return {}

    def figure(self, row: Row) -> float | None:
        """The figure to minimise for the best epoch; None: not measured after this one."""
        return row.get("validation/loss")

    def load(
        self, clips: Dataset[BatchT], batches: Iterable[list[Key]], workers: int, *, once: bool = False
    ) -> Loader[BatchT]:
        """A loader of the given batches of keys."""
        return Loader(clips, batches, workers=workers, pin=self.switches.pinned, once=once)

    # ---------------------------------------------------------------------------------- the loop

    def fit(self, resume: Path | None = None) -> list[Row]:
        """Train until all epochs are done; the caller removes the checkpoints.

        Args:
            resume: a checkpoint to resume from; None: the newest of this run, if there is one.

        Returns:
            One row per epoch: means over its steps, learning rate, times, and the result of :meth:`evaluate`.
            A row of epoch 0 comes first if :meth:`measure_start` returns values.

        Raises:
            TrainingInterruptedError: after a signal, with the state saved.
            TrainingDivergedError: when loss or gradient are not finite; in all processes.
            CheckpointError: when there are checkpoints, but none is usable.
            WorkerError: when a data worker ran out of memory or died.
        """
        if self.switches != Switches():
            self.reporter.say(f"computing with {self.switches}")
        if self.workers:
            self.reporter.say(f"{self.workers} processes load data")
        self._restore(resume)
        self.loggers.begin(self.rows, self._global_step())
        self.checkpoints.start_clock()
        try:
            with workers_watched(), stop_requests() as stop:
                self._begin()
                while self.epoch < self.epochs:
                    self._train_epoch(stop)
                    self._end_epoch()
                    if self.checkpoints.due_after(self.epoch, self.epochs):
                        self._save()
        finally:
            self.loggers.close()
        return self.rows

    def _train_epoch(self, stop: StopRequest) -> None:
        self.model.train()
        self.order.epoch, self.order.first = self.epoch, self.step * self.accumulate
        watch, vote = Stopwatch(), Vote([False, False])
        windows = self._windows()
        for window in self.reporter.steps(windows, self.epoch, self.epochs, self.step, self.steps):
            data = watch.lap()
            values = self.train_step(window)
            self.step += 1
            rate = self.optimiser.param_groups[0]["lr"]
            self._read_step()  # the previous one, while a GPU computes this one
            compute = watch.lap()
            self.timing.add(data, compute)
            times = {"learning_rate": rate, "data_seconds": data, "compute_seconds": compute}
            self._unread = values, {"step": self._global_step()}, times
            asked = self.world.vote(bool(stop), self.checkpoints.due_within_epoch())
            if not asked.known:
                asked, vote = vote, asked
            self._act(asked, stop)
            watch.start()
        began = perf_counter()
        self._read_step()
        self.timing.add(0.0, perf_counter() - began)
        self._act(vote, stop)

    def _act(self, vote: Vote, stop: StopRequest) -> None:
        """Stop or write a checkpoint; all processes do the same."""
        stops, saves = vote.read()
        if stops:
            self._interrupt(stop)
        if saves:
            self._save()

    def _read_step(self) -> None:
        """Add the values of the last step, if not done yet."""
        if self._unread is not None:
            (values, place, times), self._unread = self._unread, None
            means = values.read()
            self.averages.add(means)
            self.reporter.step(means["loss"])
            if perf_counter() - self._logged_at > _LOG_SECONDS:
                self._logged_at = perf_counter()
                self.loggers.step(place | means | times)

    def _windows(self) -> Iterator[list[BatchT]]:
        window: list[BatchT] = []
        for batch in self.loader:
            window.append(batch)
            if len(window) == self.accumulate:
                yield window
                window = []
        if window:
            yield window

    # ------------------------------------------------------------------------ around the loop

    def _begin(self) -> None:
        """Write the row of epoch 0; a resumed run has it already or can no longer measure it."""
        if self._global_step() == 0 and (measured := self.measure_start()):
            self._report_epoch({"epoch": 0, "step": 0, **measured})

    def _report_epoch(self, row: Row) -> None:
        self.rows.append(row)
        self.loggers.epoch(row)
        self.reporter.epoch(row, self.epochs)

    def _end_epoch(self) -> None:
        row: Row = {"epoch": self.epoch + 1, "step": (self.epoch + 1) * self.steps}
        row |= self.averages.means()
        row["learning_rate"] = self.optimiser.param_groups[0]["lr"]
        timing = self.timing.row(self.order.steps * self.batch_size * self.world.size, self.world.device)
        row |= timing | self.evaluate()
        if "validation/loss" in row:
            check_validation(row, self.section)
            self.schedule.observe(row["validation/loss"])
        self.best.note(self.figure(row), self.module, self.epoch + 1)
        self._report_epoch(row)
        if timing["data_share"] > _STARVED:
            self.reporter.warn(
                f"{timing['data_share']:.0%} of the epoch was spent waiting for data; more "
                f"{self.section}.workers or cache_megabytes help, if there are cores and memory for them"
            )
        self.epoch, self.step = self.epoch + 1, 0
        self.averages = Averages()
        self.timing = Timing()

    def load_best(self) -> int:
        """Load the best weights into the module; returns their epoch."""
        return self.best.load(self.module)

    def _global_step(self) -> int:
        return self.epoch * self.steps + self.step

    def _interrupt(self, stop: StopRequest) -> NoReturn:
        self._save()
        self.world.wait()
        name = stop.signal.name if stop.signal else "a signal to another process"
        raise TrainingInterruptedError(
            f"stopped by {name} in epoch {self.epoch + 1} after step {self.step} of {self.steps}; "
            "the state is saved",
            "run the same command again: it resumes from here",
        )

    # --------------------------------------------------------------------------------- the state

    def _save(self) -> None:
        self._read_step()  # so that only finite values are written
        self.checkpoints.save(self._content, self._global_step())

    def _content(self) -> dict[str, Any]:
        return {
            "module": self.module.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "switches": self.switches.document(),
            "scaler": self.scaler.state_dict(),
            "schedule": self.schedule.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "sums": self.averages.sums,
            "seconds": self.timing.seconds,
            "rows": self.rows,
            "best": self.best.figure,
        }

    def _restore(self, resume: Path | None) -> None:
        path = self.checkpoints.to_resume(resume)
        if path is None:
            return
        stored = self.state.load(path)
        hint = f"delete {path} to resume from an earlier one"
        with reading(path, "checkpoint of this run", CheckpointError, missing=hint, damaged=hint):
            self.module.load_state_dict(stored["module"])
            self.load_optimiser(stored["optimiser"])
            self.scaler.load_state_dict(stored["scaler"])
            self.schedule.load_state_dict(stored["schedule"])
            self.epoch, self.step = stored["epoch"], stored["step"]
            self.averages = Averages(stored["sums"], self.step)
            self.timing, self.rows = Timing(stored["seconds"]), stored["rows"]
            self.best.figure = stored["best"]
            theirs = Switches.restored(stored.get("switches", self.switches.document()))
        self.reporter.say(f"resuming after epoch {self.epoch}, step {self.step}, from {path}")
        if theirs != self.switches:
            self.reporter.warn(
                f"the checkpoint was made with {theirs}, and the training continues with {self.switches}: "
                "the result is not quite that of a training without a stop"
            )
