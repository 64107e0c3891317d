"""The training loop of fine-tuning: one view, cross-entropy, a state to go on from."""

from __future__ import annotations

import math
from typing import NoReturn

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader

from cocon.config.schema import Finetune
from cocon.data.batches import EpochBatches
from cocon.evaluation.labelled_clips import LabelledClip, LabelledClips, augment_clips
from cocon.training.interrupt import StopRequest, TrainingInterruptedError, stop_requests
from cocon.training.launch import autocast
from cocon.training.log import Averages, Reporter, Row, Stopwatch
from cocon.training.seeds import derived_seed
from cocon.training.state import RunState
from cocon.training.trainer import TrainingDivergedError


class ClassifierTrainer:
    """Trains a classifier with Adam; the learning rate falls tenfold at every milestone.

    Everything random is a function of (seed, epoch, step), so a run that goes on from a stored state ends
    with the same bits (on a CPU) as one that was never interrupted.

    Args:
        classifier: From x_BNCKHW to logits (B, classes); on its device, trained in place.
        clips: Training clips.
        settings: The schedule.
        seed: Seed of order, augmentation and dropout.
        state: Where the unfinished run is kept.
        reporter: Where progress is told.
    """

    def __init__(
        self,
        classifier: nn.Module,
        clips: LabelledClips,
        settings: Finetune,
        *,
        seed: int,
        state: RunState,
        reporter: Reporter,
    ) -> None:
        self.classifier, self.clips, self.settings = classifier, clips, settings
        self.seed, self.state, self.reporter = seed, state, reporter
        self.device = next(classifier.parameters()).device
        self.optimiser = torch.optim.Adam(
            classifier.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=settings.amp == "fp16")
        self.order = EpochBatches(len(clips), min(settings.batch_size, len(clips)), seed=seed)
        self.loader: DataLoader[LabelledClip] = DataLoader(
            clips,
            batch_sampler=self.order,
            num_workers=settings.workers,
            persistent_workers=settings.workers > 0,
            pin_memory=self.device.type == "cuda",
        )
        self.epoch = 0
        self.step = 0  # within the epoch
        self.averages = Averages()
        self.seconds = {"data": 0.0, "compute": 0.0}
        self.rows: list[Row] = []

    def fit(self) -> list[Row]:
        """Train until all epochs are done; the state stays until the caller removes it.

        Returns:
            One row per epoch: loss, accuracy on the augmented training clips, learning rate, seconds.

        Raises:
            TrainingInterruptedError: After a signal, with the state saved.
            TrainingDivergedError: The loss is not finite.
        """
        self._restore()
        with stop_requests() as stop:
            while self.epoch < self.settings.epochs:
                self._train_epoch(stop)
                self._end_epoch()
                self._save()
        return self.rows

    def learning_rate(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 0."""
        passed = sum(epoch >= milestone * self.settings.epochs for milestone in self.settings.milestones)
        return self.settings.learning_rate * 0.1**passed

    def _train_epoch(self, stop: StopRequest) -> None:
        self.classifier.train()
        self.order.epoch, self.order.first = self.epoch, self.step
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate(self.epoch)
        watch = Stopwatch()
        for batch in self.reporter.steps(self.loader, self.epoch, self.step, self.order.steps):
            self.seconds["data"] += watch.lap()
            self.averages.add(self._train_step(batch))
            self.step += 1
            self.seconds["compute"] += watch.lap()
            if stop:
                self._interrupt(stop)

    def _train_step(self, batch: LabelledClip) -> dict[str, float]:
        purpose = self.epoch, self.step
        torch.manual_seed(derived_seed(self.seed, "classifier", *purpose))  # dropout
        generator = torch.Generator().manual_seed(derived_seed(self.seed, "labelled clips", *purpose))
        x_u8_BTCHW = batch.frames.to(self.device, non_blocking=True)
        x_BNCKHW = augment_clips(
            x_u8_BTCHW, self.clips.view, self.clips.clip, self.settings.jitter, generator
        )
        labels_B = torch.as_tensor(batch.label, device=self.device)
        with autocast(self.device, self.settings.amp):
            logits_BC = self.classifier(x_BNCKHW)
        loss = F.cross_entropy(logits_BC.float(), labels_B)
        if not math.isfinite(loss.item()):
            raise TrainingDivergedError(
                f"the loss is not finite in epoch {self.epoch + 1}, step {self.step + 1}",
                "lower evaluation.finetune.learning_rate, or turn amp off",
            )
        self.optimiser.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimiser)
        self.scaler.update()
        accuracy = (logits_BC.argmax(1) == labels_B).float().mean()
        return {"loss": loss.item(), "accuracy/train": accuracy.item()}

    def _end_epoch(self) -> None:
        row: Row = {"epoch": self.epoch + 1, "step": (self.epoch + 1) * self.order.steps}
        row |= self.averages.means()
        row["learning_rate"] = self.learning_rate(self.epoch)
        row |= {f"{name}_seconds": seconds for name, seconds in self.seconds.items()}
        self.rows.append(row)
        self.reporter.epoch(row)
        self.epoch, self.step = self.epoch + 1, 0
        self.averages = Averages()
        self.seconds = dict.fromkeys(self.seconds, 0.0)

    def _interrupt(self, stop: StopRequest) -> NoReturn:
        self._save()
        name = stop.signal.name if stop.signal else "a signal"
        raise TrainingInterruptedError(
            f"stopped by {name} in epoch {self.epoch + 1} after step {self.step} of {self.order.steps}; "
            "the state is saved",
            "run the same command again: it goes on from here",
        )

    def _save(self) -> None:
        self.state.save(
            {
                "classifier": self.classifier.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "scaler": self.scaler.state_dict(),
                "epoch": self.epoch,
                "step": self.step,
                "sums": self.averages.sums,
                "seconds": self.seconds,
                "rows": self.rows,
            }
        )

    def _restore(self) -> None:
        stored = self.state.load()
        if stored is None:
            return
        self.classifier.load_state_dict(stored["classifier"])
        self.optimiser.load_state_dict(stored["optimiser"])
        self.scaler.load_state_dict(stored["scaler"])
        self.epoch, self.step = stored["epoch"], stored["step"]
        self.averages = Averages(stored["sums"], self.step)
        self.seconds, self.rows = stored["seconds"], stored["rows"]
        self.reporter.say(f"going on after epoch {self.epoch}, step {self.step}, from {self.state.path}")
