"""The training loop of both stages: it reads from top to bottom."""

from __future__ import annotations

import math
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.lr_scheduler import CosineAnnealingLR, ReduceLROnPlateau
from torch.utils.data import DataLoader

from cocon.config.schema import Pretraining, Stage
from cocon.data.augmentation import Augmenter
from cocon.data.batches import EpochBatches, fixed_batches
from cocon.data.clips import ClipDataset, Clips
from cocon.data.network_input import to_network_input
from cocon.errors import CoConError
from cocon.losses.cocon import CoConLoss
from cocon.models.network import ViewNetwork
from cocon.training.interrupt import StopRequest, TrainingInterruptedError, stop_requests
from cocon.training.launch import World, autocast
from cocon.training.log import Averages, Reporter, Row, Stopwatch
from cocon.training.seeds import derived_seed
from cocon.training.state import RunState


class TrainingDivergedError(CoConError):
    """The loss is no longer a number."""


class ViewNetworks(nn.Module):
    """The networks of all views behind one ``forward``, which is what DDP wants to wrap."""

    def __init__(self, networks: dict[str, ViewNetwork], predicted_blocks: int) -> None:
        super().__init__()
        self.by_view = nn.ModuleDict(networks)
        self.predicted_blocks = predicted_blocks

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
        """Per view from x_BNCKHW to (z_BNDSS, p_BPDSS)."""
        return {view: self.by_view[view](x, self.predicted_blocks) for view, x in inputs.items()}


class Trainer:
    """Trains the networks of one or several views with a preset of the CoCon loss.

    Everything random is a function of (seed, epoch, step, process), so a run that goes on from a stored
    state ends with the same bits (on a CPU) as one that was never interrupted.

    Args:
        networks: the networks by view; they are trained in place.
        train: training clips.
        validation: clips for the validation loss and the learning rate's plateau; None: neither.
        stage: epochs, batch size and learning rate.
        settings: everything else.
        preset: which terms the loss has.
        seed: seed of order, augmentation and dropout.
        state: where the unfinished run is kept.
        world: device and processes.
        reporter: where progress is told.
    """

    def __init__(
        self,
        networks: dict[str, ViewNetwork],
        train: ClipDataset,
        validation: ClipDataset | None,
        *,
        stage: Stage,
        settings: Pretraining,
        preset: str,
        seed: int,
        state: RunState,
        world: World,
        reporter: Reporter,
    ) -> None:
        self.stage, self.settings, self.seed = stage, settings, seed
        self.state, self.world, self.reporter = state, world, reporter
        self.clip = train.clip
        self.train_clips, self.validation_clips = train, validation

        self.networks = ViewNetworks(networks, self.clip.predicted_blocks).to(world.device)
        if settings.compile:
            for network in networks.values():
                network.compile()
        self.model: nn.Module = self.networks
        if world.size > 1:
            self.model = DistributedDataParallel(self.networks)
        self.loss = CoConLoss(settings.loss, preset)
        self.augment = Augmenter(settings.augmentation, self.clip)
        self.optimiser = torch.optim.Adam(
            self.networks.parameters(), lr=stage.learning_rate, weight_decay=settings.weight_decay
        )
        self.schedule = self._schedule()
        self.scaler = torch.amp.GradScaler(world.device.type, enabled=settings.amp == "fp16")

        self.order = EpochBatches(len(train), stage.batch_size, seed=seed, rank=world.rank, size=world.size)
        self.loader = self._loader(train, self.order, settings.workers)
        self.validation_batches: list[Any] = []
        if validation is not None:
            self.validation_batches = fixed_batches(
                len(validation), stage.batch_size, rank=world.rank, size=world.size
            )

        self.epoch = 0
        self.step = 0  # within the epoch
        self.averages = Averages()
        self.seconds = {"data": 0.0, "compute": 0.0}
        self.rows: list[Row] = []

    def _schedule(self) -> CosineAnnealingLR | ReduceLROnPlateau:
        settings, minimum = self.settings, self.settings.minimum_learning_rate
        if settings.schedule == "cosine":
            return CosineAnnealingLR(self.optimiser, self.stage.epochs, minimum)
        return ReduceLROnPlateau(
            self.optimiser,
            factor=settings.plateau_factor,
            patience=settings.plateau_patience,
            min_lr=minimum,
        )

    def _loader(self, clips: ClipDataset, batches: Any, workers: int) -> DataLoader[Clips]:
        return DataLoader(
            clips,
            batch_sampler=batches,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=self.world.device.type == "cuda",
        )

    # ------------------------------------------------------------------------------------ the loop

    def fit(self) -> list[Row]:
        """Train until all epochs are done.

        Returns:
            One row per epoch, see :meth:`_end_epoch`.

        Raises:
            TrainingInterruptedError: after a signal, with the state saved.
            TrainingDivergedError: when the loss is not finite.
        """
        self._restore()
        with stop_requests() as stop:
            while self.epoch < self.stage.epochs:
                self._train_epoch(stop)
                self._end_epoch()
                if self.epoch % self.settings.checkpoint_every == 0:
                    self._save()
        return self.rows

    def _train_epoch(self, stop: StopRequest) -> None:
        self.model.train()
        self.order.epoch, self.order.first = self.epoch, self.step
        watch = Stopwatch()
        for batch in self.reporter.steps(self.loader, self.epoch, self.step, self.order.steps):
            generator = self._seed_step()
            inputs = {
                view: self.augment(x.to(self.world.device, non_blocking=True), view, generator)
                for view, x in batch.views.items()
            }
            self.seconds["data"] += watch.lap()
            self.averages.add(self.train_step(inputs, batch.video_id))
            self.step += 1
            self.seconds["compute"] += watch.lap()
            if self.world.any(bool(stop)):
                self._interrupt(stop)

    def train_step(self, inputs: dict[str, Tensor], video_ids: list[str]) -> dict[str, float]:
        """One step of the optimiser.

        Args:
            inputs: x_BNCKHW by view.
            video_ids: what the batch is made of, for the error message.

        Returns:
            The loss and its terms, as numbers.
        """
        loss, values = self._forward(inputs)
        if not math.isfinite(values["loss"]):
            self._explain_divergence(values, video_ids)
        self.optimiser.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimiser)
        self.scaler.update()
        return values

    def _forward(self, inputs: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        with autocast(self.world.device, self.settings.amp):
            outputs = self.model(inputs)
        terms = self.loss(outputs)
        names = ["loss", *terms.terms]
        values = torch.stack([terms.total.detach(), *terms.terms.values()])
        return terms.total, dict(zip(names, values.tolist(), strict=True))

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Mean loss and terms on the validation clips: networks in evaluation mode, no augmentation."""
        assert self.validation_clips is not None
        self.model.eval()
        averages = Averages()
        for batch in self._loader(self.validation_clips, self.validation_batches, 0):
            inputs = {
                view: to_network_input(x.to(self.world.device), view, self.clip)
                for view, x in batch.views.items()
            }
            averages.add(self._forward(inputs)[1])
        return self.world.mean(averages.means())

    # --------------------------------------------------------------------------- around the loop

    def _seed_step(self) -> torch.Generator:
        """Seed everything random of one step: dropout through the global generators, and augmentation."""
        purpose = self.epoch, self.step, self.world.rank
        torch.manual_seed(derived_seed(self.seed, "network", *purpose))
        return torch.Generator().manual_seed(derived_seed(self.seed, "augmentation", *purpose))

    def _end_epoch(self) -> None:
        row: Row = {"epoch": self.epoch + 1, "step": (self.epoch + 1) * self.order.steps}
        row |= self.world.mean(self.averages.means())
        row["learning_rate"] = self.optimiser.param_groups[0]["lr"]
        row |= {f"{name}_seconds": seconds for name, seconds in self.seconds.items()}
        if self.validation_batches:
            validation = self.validate()
            row |= {f"validation/{name}": value for name, value in validation.items()}
            if isinstance(self.schedule, ReduceLROnPlateau):
                self.schedule.step(validation["loss"])
        if isinstance(self.schedule, CosineAnnealingLR):
            self.schedule.step()
        self.rows.append(row)
        self.reporter.epoch(row)
        self.epoch, self.step = self.epoch + 1, 0
        self.averages = Averages()
        self.seconds = dict.fromkeys(self.seconds, 0.0)

    def _interrupt(self, stop: StopRequest) -> NoReturn:
        self._save()
        self.world.wait()
        name = stop.signal.name if stop.signal else "a signal to another process"
        raise TrainingInterruptedError(
            f"stopped by {name} in epoch {self.epoch + 1} after step {self.step} of {self.order.steps}; "
            "the state is saved",
            "run the same command again: it goes on from here",
        )

    def _explain_divergence(self, values: dict[str, float], video_ids: list[str]) -> NoReturn:
        terms = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
        raise TrainingDivergedError(
            f"the loss is not finite in epoch {self.epoch + 1}, step {self.step + 1} ({terms}); "
            f"videos of the batch: {', '.join(video_ids)}",
            "lower pretraining.<stage>.learning_rate, turn amp off, or look at these videos",
        )

    # ----------------------------------------------------------------------------------- the state

    def _save(self) -> None:
        if self.world.leads:
            self.state.save(
                {
                    "networks": self.networks.state_dict(),
                    "optimiser": self.optimiser.state_dict(),
                    "schedule": self.schedule.state_dict(),
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
        self.networks.load_state_dict(stored["networks"])
        self.optimiser.load_state_dict(stored["optimiser"])
        self.schedule.load_state_dict(stored["schedule"])
        self.scaler.load_state_dict(stored["scaler"])
        self.epoch, self.step = stored["epoch"], stored["step"]
        self.averages = Averages(stored["sums"], self.step)
        self.seconds, self.rows = stored["seconds"], stored["rows"]
        self.reporter.say(f"going on after epoch {self.epoch}, step {self.step}, from {self.state.path}")
