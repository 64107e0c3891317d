"""The pretraining loop: networks of one or several views and a preset of the CoCon loss."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from cocon.config.schema import Pretraining, Stage
from cocon.data.augmentation import Augmenter
from cocon.data.batches import fixed_batches, shares, steps_per_epoch
from cocon.data.clips import ClipDataset, Clips
from cocon.data.loader import clip_bytes, number_of_workers
from cocon.data.network_input import to_network_input
from cocon.distributed import alone
from cocon.losses.clip_vectors import ClipQueue
from cocon.losses.cocon import CoConLoss
from cocon.models.network import ViewNetwork
from cocon.pretrainings import PRESETS
from cocon.training.context import RunContext
from cocon.training.log import GROUP_KNN, Averages, Row
from cocon.training.loop import Loop
from cocon.training.probe import GroupProbe, Probe
from cocon.training.schedule import Schedule
from cocon.training.switches import Switches
from cocon.training.sync_norm import synchronised
from cocon.transfer import Late

#: default number of measurements for the best epoch
_CHOICES = 20


class ViewNetworks(nn.Module):
    """The networks of all views in one module, which DDP wraps.

    Args:
        networks: the networks by view.
        predicted_blocks: number of blocks that each predicts.
        queue: past clips for the loss, held here so that checkpoints include it; None: no queue.
    """

    def __init__(
        self, networks: dict[str, ViewNetwork], predicted_blocks: int, queue: ClipQueue | None = None
    ) -> None:
        super().__init__()
        self.by_view = nn.ModuleDict(networks)
        self.predicted_blocks = predicted_blocks
        self.queue = queue

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
        """Per view from x_BNCKHW to (z_BNDSS, p_BPDSS)."""
        return {view: self.by_view[view](x, self.predicted_blocks) for view, x in inputs.items()}


class Trainer(Loop[Clips]):
    """Trains the networks of one or several views; the loop itself is :class:`Loop`.

    Args:
        context: of the run.
        networks: the networks by view; they are trained in place.
        train: training clips.
        validation: clips for the validation loss; None: none.
        stage: batch size and learning rate.
        epochs: length.
        settings: everything else.
        preset: selects the terms of the loss; both sets of clips must have as many per video as it needs.
        probe: measures before the first epoch and every ``probe_every`` epochs; None: no probe.
        choice: measures for the best epoch; None: use the validation loss.
    """

    def __init__(
        self,
        context: RunContext,
        networks: dict[str, ViewNetwork],
        train: ClipDataset,
        validation: ClipDataset | None,
        *,
        stage: Stage,
        epochs: int,
        settings: Pretraining,
        preset: str,
        probe: Probe | None = None,
        choice: GroupProbe | None = None,
    ) -> None:
        world = context.world
        self.networks, self.pretraining, self.clip = networks, settings, train.clip
        batch_bytes = stage.batch_size * clip_bytes(self.clip, networks)
        workers = number_of_workers(settings.workers, world.device, batch_bytes)
        queue = _queue(networks, settings, preset)
        module: nn.Module = ViewNetworks(networks, self.clip.predicted_blocks, queue).to(world.device)
        if settings.sync_batch_norm and world.size > 1:
            module = synchronised(module, world.device)
        for network in networks.values():
            Switches.of(settings, world.device).apply(network, world.device)
        if world.size > 1 and not PRESETS[preset].predicts:
            _freeze_predictions(networks)
        steps = steps_per_epoch(len(train), stage.batch_size, accumulate=stage.accumulate, size=world.size)
        super().__init__(
            context,
            module,
            train,
            settings=settings,
            section="pretraining",
            schedule=Schedule(
                settings.schedule,
                stage.learning_rate,
                epochs,
                minimum=settings.minimum_learning_rate,
                warmup_epochs=settings.warmup(steps),
                milestones=settings.milestones,
                factor=settings.plateau_factor,
                patience=settings.plateau_patience,
            ),
            batch_size=stage.batch_size,
            accumulate=stage.accumulate,
            workers=workers,
            per_video=train.per_video,
            keep_best=_which_of_equal(choice) if settings.result == "best" else None,
        )
        self.loss = CoConLoss(settings.loss, preset, queue)
        self.augment = Augmenter(settings.augmentation, self.clip)
        self.probe, self.choice = probe, choice
        # presets from random networks train for both stages' epochs; in the first, no terms between views
        self.mines_from = settings.stage1.whole_epochs(self.steps)
        self.chooses_every = settings.best_every or math.ceil(epochs / _CHOICES)
        self.validation_clips = validation
        held_out = len(validation) if validation else 0
        self.shares_validation = shares(held_out, world.size)
        self.validation_batches = fixed_batches(
            held_out, stage.batch_size, rank=world.rank, size=world.size, per_video=train.per_video
        )

    def fit(self, resume: Path | None = None) -> list[Row]:
        """See :meth:`Loop.fit`."""
        if self.schedule.kind == "plateau" and not self.validation_batches:
            self.reporter.say("no videos are held out for validation: the learning rate does not change")
        return super().fit(resume)

    def loss_of(self, batch: Clips, number: int) -> dict[str, Tensor]:
        """Loss and terms of a batch of clips, augmented on the device."""
        generator = self.seeded("network", "augmentation", self.epoch, number, self.world.rank)
        return self.compare(self.augment.batch(batch.views, self.world.device, generator), batch.video_id)

    def compare(self, inputs: dict[str, Tensor], videos: Sequence[str]) -> dict[str, Tensor]:
        """Loss and terms of network inputs x_BNCKHW by view, of clips of these videos."""
        with self.autocast():
            outputs = self.model(inputs)
        mining = self.epoch >= self.mines_from
        terms = self.loss(outputs, videos, mining=mining, keep=self.model.training)
        return {"loss": terms.total, **terms.terms}

    def evaluate(self) -> Row:
        """Validation loss, where videos are held out, and the probes in their epochs."""
        row: Row = {}
        if self.validation_batches:
            row |= {f"validation/{name}": value for name, value in self.validate().items()}
        every = self.pretraining.probe_every
        if every and (self.epoch + 1) % every == 0:
            row |= self._probed()
        last = self.epoch + 1 == self.epochs
        if self.choice and self.world.leads and (last or (self.epoch + 1) % self.chooses_every == 0):
            row |= self.choice(self.networks, self.world.device, self.switches.amp)
        return row

    def figure(self, row: Row) -> float | None:
        """The validation loss, or the error rate of the selecting probe."""
        if self.choice is None:
            return super().figure(row)
        accuracy = row.get(f"{GROUP_KNN}/mean")
        return None if accuracy is None else 1 - accuracy

    def measure_start(self) -> Row:
        """Run the curve probe on the initial networks."""
        return self._probed()

    def _probed(self) -> Row:
        if self.probe is None or not self.world.leads:
            return {}
        return self.probe(self.networks, self.world.device, self.switches.amp)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Mean loss and terms on the validation clips: networks in evaluation mode, no augmentation.

        All processes use the statistics of batch norm of the leading one, which are those that are stored.
        """
        assert self.validation_clips is not None
        self.world.share(self.module.buffers())
        self.model.eval()
        averages, late = Averages(), []
        workers = min(self.workers, len(self.validation_batches))
        for batch in self.load(self.validation_clips, self.validation_batches, workers, once=True):
            inputs = {
                view: to_network_input(x.to(self.world.device, non_blocking=True), view, self.clip)
                for view, x in batch.views.items()
            }
            with contextlib.nullcontext() if self.shares_validation else alone():
                values = self.compare(inputs, batch.video_id)
            late.append((values.keys(), Late(torch.stack(list(values.values())))))
        for names, values_of_batch in late:
            averages.add(dict(zip(names, values_of_batch.read(), strict=True)))
        return self.world.mean(averages.means())


def _which_of_equal(choice: GroupProbe | None) -> Literal["first", "last"]:
    """Tie rule: the accuracy of a probe takes few values, so ties occur; then the later epoch wins."""
    return "first" if choice is None else "last"


def _queue(networks: Mapping[str, ViewNetwork], settings: Pretraining, preset: str) -> ClipQueue | None:
    """The queue of past batches of a preset."""
    if not PRESETS[preset].queues:
        return None
    features = next(iter(networks.values())).settings.features
    return ClipQueue(networks, features, settings.loss.queue)


def _freeze_predictions(networks: Mapping[str, ViewNetwork]) -> None:
    """Freeze aggregator and predictor, which get no gradient; DDP would wait for it."""
    for network in networks.values():
        network.aggregator.requires_grad_(False)
        network.predictor.requires_grad_(False)
