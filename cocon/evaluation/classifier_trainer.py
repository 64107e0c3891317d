"""Training with labels: one view, cross-entropy, the training loop of pretraining."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cocon.config.schema import Finetune
from cocon.data.batches import steps_per_epoch
from cocon.data.loader import check_shared_memory
from cocon.evaluation.labelled_clips import LabelledClip, LabelledClips, augment_clips
from cocon.models.classifier import Classifier
from cocon.training.devices import World, prepare_network
from cocon.training.log import Reporter
from cocon.training.loggers import Loggers
from cocon.training.loop import Loop
from cocon.training.schedule import Schedule
from cocon.training.state import RunState


class ClassifierTrainer(Loop[LabelledClip]):
    """Trains a classifier; the loop itself is :class:`Loop`.

    Args:
        classifier: From x_BNCKHW to logits (B, classes); on its device, trained in place.
        clips: Training clips.
        settings: Optimiser and schedule.
        section: Name of these settings below ``evaluation``, for hints.
        seed: Seed of order, augmentation and dropout.
        state: Where the unfinished run is kept.
        reporter: Where progress is told.
        loggers: Where the curves go.
    """

    def __init__(
        self,
        classifier: Classifier,
        clips: LabelledClips,
        settings: Finetune,
        *,
        section: str,
        seed: int,
        state: RunState,
        reporter: Reporter,
        loggers: Loggers,
    ) -> None:
        self.classifier, self.clips, self.labelling = classifier, clips, settings
        batch_size = min(settings.batch_size, len(clips))
        check_shared_memory(clips.clip, [clips.view], batch_size, settings.workers)
        world = World(next(classifier.parameters()).device)
        prepare_network(classifier, settings, world.device)
        steps = steps_per_epoch(len(clips), batch_size, accumulate=settings.accumulate)
        epochs = settings.whole_epochs(steps)
        super().__init__(
            classifier,
            clips,
            settings=settings,
            section=f"evaluation.{section}",
            epochs=epochs,
            batch_size=batch_size,
            accumulate=settings.accumulate,
            schedule=Schedule(
                settings.schedule,
                settings.learning_rate,
                epochs,
                warmup_epochs=settings.warmup(steps),
                milestones=settings.milestones,
            ),
            seed=seed,
            state=state,
            world=world,
            reporter=reporter,
            loggers=loggers,
        )

    def make_optimiser(self) -> torch.optim.Optimizer:
        """One group for all, or, where the backbone has a rate of its own, the head and the backbone.

        The first group has the scheduled learning rate.
        """
        settings = self.labelling
        groups: list[dict[str, Any]] = [{"params": self.parameters}]
        if settings.backbone_rate < 1:
            backbone = {id(parameter) for parameter in self.classifier.backbone()}
            groups = [
                {"params": [p for p in self.parameters if id(p) not in backbone]},
                {
                    "params": [p for p in self.parameters if id(p) in backbone],
                    "factor": settings.backbone_rate,
                },
            ]
        groups = [group for group in groups if group["params"]]
        rate, decay = settings.learning_rate, settings.weight_decay
        if settings.optimiser == "sgd":
            return torch.optim.SGD(groups, lr=rate, momentum=settings.momentum, weight_decay=decay)
        return torch.optim.Adam(groups, lr=rate, weight_decay=decay)

    def loss_of(self, batch: LabelledClip, number: int) -> dict[str, Tensor]:
        """Cross-entropy, and the accuracy on the augmented training clips."""
        device = self.world.device
        generator = self.seeded("classifier", "labelled clips", self.epoch, number)
        x_u8_BTCHW = batch.frames.to(device, non_blocking=True)
        x_BNCKHW = augment_clips(
            x_u8_BTCHW, self.clips.view, self.clips.clip, self.labelling.jitter, generator
        )
        labels_B = torch.as_tensor(batch.label, device=device)
        with self.autocast():
            logits_BC = self.model(x_BNCKHW)
        accuracy = (logits_BC.argmax(1) == labels_B).float().mean()
        return {"loss": F.cross_entropy(logits_BC.float(), labels_B), "accuracy/train": accuracy}
