"""The training loop that pretraining and fine-tuning share; it reads from top to bottom.

A subclass says what the loss of a batch is (:meth:`Loop.loss_of`) and what is looked at after an epoch
(:meth:`Loop.evaluate`).
"""

from __future__ import annotations

import contextlib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any, Generic, NoReturn, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.utils.data import Dataset

from cocon.config.schema import Training
from cocon.data.batches import EpochBatches, steps_per_epoch
from cocon.data.clips import Key
from cocon.data.loader import Loader, workers_watched
from cocon.errors import CheckpointError, CoConError
from cocon.loading import reading
from cocon.training.devices import World, autocast
from cocon.training.interrupt import StopRequest, TrainingInterruptedError, stop_requests
from cocon.training.log import Averages, Reporter, Row, Stopwatch, Timing
from cocon.training.loggers import Loggers
from cocon.training.schedule import Schedule
from cocon.training.seeds import derived_seed
from cocon.training.state import RunState

_LOG_SECONDS = 1.0  # between two rows about single steps
#: seconds between the checkpoints of two epochs, at least: one takes as long as an epoch of few videos
_APART = 60.0
_STARVED = 0.3  # share of an epoch spent waiting for data that is worth a warning


class TrainingDivergedError(CoConError):
    """Loss or gradient are no longer numbers."""


class Batch(Protocol):
    """What a data set's batches have in common."""

    @property
    def video_id(self) -> Any:
        """The ids of its videos."""


BatchT = TypeVar("BatchT", bound=Batch)


class Loop(ABC, Generic[BatchT]):
    """Epochs of steps, with checkpoints, signals, schedule, logs and a stop when the loss is no number.

    Everything random is a function of (seed, epoch, batch, process), so a run that goes on from any
    checkpoint ends with the same bits (on a CPU) as one that was never interrupted.

    One step takes ``accumulate`` batches and the mean of their gradients; what is left at the end of an
    epoch makes a smaller step. That is the gradient of one large batch as far as the loss is a mean over
    clips; batch norm and contrastive losses see each batch by itself.

    Args:
        module: what is trained, in place; on its device.
        clips: the training clips; keys are (epoch, number).
        settings: how the loop runs.
        section: name of these settings, for hints.
        epochs: length.
        batch_size: clips per batch and process.
        accumulate: batches per step.
        schedule: the learning rate.
        seed: seed of order, augmentation and dropout.
        state: where checkpoints are kept.
        world: device and processes.
        reporter: where progress is told.
        loggers: where the curves go.
        keep_best: also keep the module with the lowest :meth:`figure`.
        later_of_equal: of epochs with equal figures the last is the best, not the first.
        per_video: clips of a video in a batch.
    """

    def __init__(
        self,
        module: nn.Module,
        clips: Dataset[BatchT],
        *,
        settings: Training,
        section: str,
        epochs: int,
        batch_size: int,
        accumulate: int,
        schedule: Schedule,
        seed: int,
        state: RunState,
        world: World,
        reporter: Reporter,
        loggers: Loggers,
        keep_best: bool = False,
        later_of_equal: bool = False,
        per_video: int = 1,
    ) -> None:
        self.module, self.settings, self.section = module, settings, section
        self.epochs, self.batch_size, self.accumulate = epochs, batch_size, accumulate
        self.schedule, self.seed, self.state, self.world = schedule, seed, state, world
        self.reporter, self.loggers = reporter, loggers
        self.keep_best, self.later_of_equal = keep_best, later_of_equal

        self.model = DistributedDataParallel(module) if world.size > 1 else module
        self.parameters = [p for p in module.parameters() if p.requires_grad]
        self.optimiser = self.make_optimiser()
        self.scaler = torch.amp.GradScaler(world.device.type, enabled=settings.amp == "fp16")
        videos: int = len(clips)  # type: ignore[arg-type]
        self.order = EpochBatches(
            videos, batch_size, seed=seed, rank=world.rank, size=world.size, per_video=per_video
        )
        self.steps = steps_per_epoch(videos, batch_size, accumulate=accumulate, size=world.size)
        self.loader = self.load(clips, self.order, settings.workers)

        self.epoch = 0
        self.step = 0  # of the optimiser, within the epoch
        self.averages = Averages()
        self.timing = Timing()
        self.rows: list[Row] = []
        self.best = math.inf
        self._best_state: dict[str, Any] | None = None  # not on disk yet
        self._saved_at = self._logged_at = perf_counter()

    @abstractmethod
    def loss_of(self, batch: BatchT, number: int) -> dict[str, Tensor]:
        """The loss of a batch by the name ``loss``, with gradient, and other scalars without.

        Args:
            batch: as the data set gives it, on the CPU.
            number: of the batch within the epoch.
        """

    def make_optimiser(self) -> torch.optim.Optimizer:
        """Adam for all parameters.

        A group's entry ``factor``, where it has one, is the part of the scheduled learning rate that it gets.
        """
        return torch.optim.Adam(
            self.parameters, lr=self.schedule.learning_rate, weight_decay=self.settings.weight_decay
        )

    def measure_start(self) -> Row:
        """What is measured before the first step; it becomes a row of epoch 0, if it is anything."""
        return {}

    def evaluate(self) -> Row:
        """What is measured after an epoch; ``validation/loss`` feeds the plateau."""
        return {}

    def figure(self, row: Row) -> float | None:
        """What is lowest for the best epoch; None: not measured after this one."""
        return row.get("validation/loss")

    # ---------------------------------------------------------------------------------- the loop

    def fit(self, resume: Path | None = None) -> list[Row]:
        """Train until all epochs are done; the state stays until the caller removes it.

        Args:
            resume: a checkpoint to go on from; None: the newest of this run, if there is one.

        Returns:
            One row per epoch: means over its steps, learning rate, times, and what :meth:`evaluate` says. A
            row of epoch 0 comes first where :meth:`measure_start` says something.

        Raises:
            TrainingInterruptedError: after a signal, with the state saved.
            TrainingDivergedError: when loss or gradient are not finite; in all processes.
            CheckpointError: when there are checkpoints, but none that can be used.
            WorkerError: when a process that loads data has no memory, or has died.
        """
        self._restore(resume)
        self.loggers.begin(self.rows, self._global_step())
        self._saved_at = perf_counter()
        try:
            with workers_watched(), stop_requests() as stop:
                self._begin()
                while self.epoch < self.epochs:
                    self._train_epoch(stop)
                    self._end_epoch()
                    if self._is_due():
                        self._save()
        finally:
            self.loggers.close()
        return self.rows

    def _is_due(self) -> bool:
        """Whether a checkpoint follows the epoch; the last has one, for what the caller does afterwards."""
        on_time = self.epoch % self.settings.checkpoint_every == 0
        return self.epoch == self.epochs or (on_time and perf_counter() - self._saved_at >= _APART)

    def _train_epoch(self, stop: StopRequest) -> None:
        self.model.train()
        self.order.epoch, self.order.first = self.epoch, self.step * self.accumulate
        watch = Stopwatch()
        windows = self._windows()
        for window in self.reporter.steps(windows, self.epoch, self.epochs, self.step, self.steps):
            data = watch.lap()
            values = self.train_step(window)
            self.step += 1
            compute = watch.lap()
            self.averages.add(values)
            self.timing.add(data, compute)
            self._tell_step(values, data, compute)
            if self.world.any(bool(stop)):
                self._interrupt(stop)
            minutes = self.settings.checkpoint_minutes
            if minutes and perf_counter() - self._saved_at > 60 * minutes:
                self._save()
            watch.start()

    def _windows(self) -> Iterator[list[BatchT]]:
        window: list[BatchT] = []
        for batch in self.loader:
            window.append(batch)
            if len(window) == self.accumulate:
                yield window
                window = []
        if window:
            yield window

    def train_step(self, window: list[BatchT]) -> dict[str, float]:
        """One step of the optimiser.

        Args:
            window: the batches of this process whose mean gradient is taken.

        Returns:
            Loss, other scalars and norm of the gradient: means over batches and processes.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = self.schedule.rate(self.epoch, self.step, self.steps) * group.get("factor", 1.0)
        self.optimiser.zero_grad(set_to_none=True)
        sums: dict[str, Tensor] = {}
        for place, batch in enumerate(window):
            with self._communication(place == len(window) - 1):
                values = self.loss_of(batch, self.step * self.accumulate + place)
                self.scaler.scale(values["loss"] / len(window)).backward()
            for name, value in values.items():
                sums[name] = sums.get(name, 0.0) + value.detach()
        self.scaler.unscale_(self.optimiser)
        norm = get_total_norm([p.grad for p in self.parameters if p.grad is not None])
        total = torch.stack([*sums.values(), norm * len(window)]).div_(len(window)).tolist()
        means = self.world.mean(dict(zip([*sums, "gradient_norm"], total, strict=True)))
        self._check(means, window)
        if self.settings.clip_gradient:
            clip_grads_with_norm_(self.parameters, self.settings.clip_gradient, norm)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        return means

    def _communication(self, last: bool) -> contextlib.AbstractContextManager[None]:
        """DDP averages the gradients of the processes once per step, in the backward of the last batch."""
        if isinstance(self.model, DistributedDataParallel) and not last:
            no_sync: contextlib.AbstractContextManager[None] = self.model.no_sync()
            return no_sync
        return contextlib.nullcontext()

    # -------------------------------------------------------------------------- for subclasses

    def load(self, clips: Dataset[BatchT], batches: Iterable[list[Key]], workers: int) -> Loader[BatchT]:
        """A loader of the given batches of keys."""
        return Loader(clips, batches, workers=workers, pin=self.world.device.type == "cuda")

    def autocast(self) -> torch.autocast:
        """The mixed precision of the setting ``amp``."""
        return autocast(self.world.device, self.settings.amp)

    def seeded(self, network: str, augmentation: str, *batch: int) -> torch.Generator:
        """Seed all that is random in one batch: dropout through the global generators, and augmentation.

        Args:
            network: purpose of the first.
            augmentation: purpose of the second.
            *batch: which batch it is: epoch, number, process.

        Returns:
            The source of randomness of the augmentation, on the CPU.
        """
        torch.manual_seed(derived_seed(self.seed, network, *batch))
        return torch.Generator().manual_seed(derived_seed(self.seed, augmentation, *batch))

    # ------------------------------------------------------------------------ around the loop

    def _begin(self) -> None:
        """The row of epoch 0, which a run that goes on has, or cannot have any more."""
        if self._global_step() == 0 and (measured := self.measure_start()):
            self._tell_epoch({"epoch": 0, "step": 0, **measured})

    def _tell_epoch(self, row: Row) -> None:
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
            self._check_validation(row)
            self.schedule.observe(row["validation/loss"])
        self._note_best(self.figure(row))
        self._tell_epoch(row)
        if timing["data_share"] > _STARVED:
            self.reporter.warn(
                f"{timing['data_share']:.0%} of the epoch was spent waiting for data; more "
                f"{self.section}.workers or cache_megabytes help, if there are cores and memory for them"
            )
        self.epoch, self.step = self.epoch + 1, 0
        self.averages = Averages()
        self.timing = Timing()

    def _note_best(self, figure: float | None) -> None:
        """Keep a copy of the best state; it goes to disk with the next checkpoint, which knows its figure."""
        if figure is None or not (figure < self.best or (self.later_of_equal and figure == self.best)):
            return
        self.best = figure
        if self.keep_best and self.world.leads:
            weights = {name: x.detach().cpu().clone() for name, x in self.module.state_dict().items()}
            self._best_state = {"module": weights, "epoch": self.epoch + 1}

    def _write_best(self) -> None:
        if self._best_state is not None:
            self.state.save_best(self._best_state)
            self._best_state = None

    def load_best(self) -> int:
        """Give the module its best state; returns the epoch that it comes from."""
        best = self.state.load_best()
        self.module.load_state_dict(best["module"])
        return int(best["epoch"])

    def _global_step(self) -> int:
        return self.epoch * self.steps + self.step

    def _tell_step(self, values: dict[str, float], data: float, compute: float) -> None:
        self.reporter.step(values["loss"])
        if perf_counter() - self._logged_at > _LOG_SECONDS:
            self._logged_at = perf_counter()
            times = {"data_seconds": data, "compute_seconds": compute}
            rate = {"learning_rate": self.optimiser.param_groups[0]["lr"]}
            self.loggers.step({"step": self._global_step()} | values | rate | times)

    def _interrupt(self, stop: StopRequest) -> NoReturn:
        self._save()
        self.world.wait()
        name = stop.signal.name if stop.signal else "a signal to another process"
        raise TrainingInterruptedError(
            f"stopped by {name} in epoch {self.epoch + 1} after step {self.step} of {self.steps}; "
            "the state is saved",
            "run the same command again: it goes on from here",
        )

    def _check(self, means: dict[str, float], window: Iterable[BatchT]) -> None:
        """Every process sees the same means, so all of them stop, or none."""
        if not math.isfinite(means["loss"]):
            what = "loss"
        elif math.isfinite(means["gradient_norm"]):
            return
        elif self.scaler.is_enabled():  # it leaves this step out and lowers its scale
            means["gradient_norm"] = 0.0
            return
        else:
            what = "gradient"
        mine = [name for batch in window for name in batch.video_id]
        video_ids = [name for part in self.world.gather(mine) for name in part]
        terms = ", ".join(f"{name} {value:.4g}" for name, value in means.items())
        raise TrainingDivergedError(
            f"the {what} is not finite in epoch {self.epoch + 1}, step {self.step + 1} ({terms}); "
            f"videos of the batch: {', '.join(video_ids)}",
            f"lower the learning_rate of {self.section}, turn amp off, or look at these videos",
        )

    def _check_validation(self, row: Row) -> None:
        """Every process sees the same row, as in :meth:`_check`."""
        if not math.isfinite(row["validation/loss"]):
            raise TrainingDivergedError(
                f"the validation loss is not finite after epoch {self.epoch + 1}, although the training loss "
                f"is {row['loss']:.4g}",
                f"lower the learning_rate of {self.section}, turn amp off, or look at the videos held out",
            )

    # --------------------------------------------------------------------------------- the state

    def _save(self) -> None:
        self._saved_at = perf_counter()
        if self.world.leads:
            self._write_best()  # first: a checkpoint without the best state that it counts on is of no use
            content = {
                "module": self.module.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "scaler": self.scaler.state_dict(),
                "schedule": self.schedule.state_dict(),
                "epoch": self.epoch,
                "step": self.step,
                "sums": self.averages.sums,
                "seconds": self.timing.seconds,
                "rows": self.rows,
                "best": self.best,
            }
            self.state.save(content, self._global_step())

    def _restore(self, resume: Path | None) -> None:
        path = resume or self.world.of_leader(self.state.newest)
        if path is None:
            for folder, changes in self.state.relatives() if self.world.leads else ():
                self.reporter.say(
                    f"starting anew; the unfinished run {folder} is another one (theirs -> ours):"
                )
                for change in changes:
                    self.reporter.say(f"    {change}")
            return
        stored = self.state.load(path)
        hint = f"delete {path} to go on from an earlier one"
        with reading(path, "checkpoint of this run", CheckpointError, missing=hint, damaged=hint):
            self.module.load_state_dict(stored["module"])
            self.optimiser.load_state_dict(stored["optimiser"])
            self.scaler.load_state_dict(stored["scaler"])
            self.schedule.load_state_dict(stored["schedule"])
            self.epoch, self.step = stored["epoch"], stored["step"]
            self.averages = Averages(stored["sums"], self.step)
            self.timing, self.rows, self.best = Timing(stored["seconds"]), stored["rows"], stored["best"]
        self.reporter.say(f"going on after epoch {self.epoch}, step {self.step}, from {path}")
