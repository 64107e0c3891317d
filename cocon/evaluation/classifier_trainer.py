"""Training with labels: one view, cross-entropy, the training loop of pretraining."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cocon.config.schema import Finetune
from cocon.data.batches import steps_per_epoch
from cocon.data.loader import clip_bytes, number_of_workers
from cocon.evaluation.labelled_clips import LabelledClip, LabelledClips, augment_clips
from cocon.models.classifier import Classifier
from cocon.training.context import RunContext
from cocon.training.loop import Loop
from cocon.training.schedule import Schedule
from cocon.training.switches import Switches


class ClassifierTrainer(Loop[LabelledClip]):
    """Trains a classifier; the loop itself is :class:`Loop`.

    Args:
        context: Of the run; in one process.
        classifier: From x_BNCKHW to logits (B, classes); on its device, trained in place.
        clips: Training clips.
        settings: Optimiser and schedule.
        section: Name of these settings below ``evaluation``, for hints.
    """

    def __init__(
        self,
        context: RunContext,
        classifier: Classifier,
        clips: LabelledClips,
        settings: Finetune,
        *,
        section: str,
    ) -> None:
        self.classifier, self.clips, self.labelling = classifier, clips, settings
        batch_size = min(settings.batch_size, len(clips))
        device = context.world.device
        batch_bytes = batch_size * clip_bytes(clips.clip, [clips.view])
        workers = number_of_workers(settings.workers, device, batch_bytes)
        Switches.of(settings, device).apply(classifier, device)
        steps = steps_per_epoch(len(clips), batch_size, accumulate=settings.accumulate)
        super().__init__(
            context,
            classifier,
            clips,
            settings=settings,
            section=f"evaluation.{section}",
            schedule=Schedule(
                settings.schedule,
                settings.learning_rate,
                settings.whole_epochs(steps),
                warmup_epochs=settings.warmup(steps),
                milestones=settings.milestones,
            ),
            batch_size=batch_size,
            accumulate=settings.accumulate,
            workers=workers,
        )

    def make_optimiser(self) -> torch.optim.Optimizer:
        """One parameter group, or two if the backbone has its own learning rate: head and backbone.

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
        rate, decay, fused = settings.learning_rate, settings.weight_decay, self.switches.fused or None
        if settings.optimiser == "sgd":
            return torch.optim.SGD(
                groups, lr=rate, momentum=settings.momentum, weight_decay=decay, fused=fused
            )
        return torch.optim.Adam(groups, lr=rate, weight_decay=decay, fused=fused)

    def loss_of(self, batch: LabelledClip, number: int) -> dict[str, Tensor]:
        """Cross-entropy, and the accuracy on the augmented training clips."""
        device = self.world.device
        generator = self.seeded("classifier", "labelled clips", self.epoch, number)
        x_u8_BTCHW = batch.frames.to(device, non_blocking=True)
        x_BNCKHW = augment_clips(
            x_u8_BTCHW, self.clips.view, self.clips.clip, self.labelling.jitter, generator
        )
        labels_B = torch.as_tensor(batch.label).to(device, non_blocking=True)
        with self.autocast():
            logits_BC = self.model(x_BNCKHW)
        accuracy = (logits_BC.argmax(1) == labels_B).float().mean()
        return {"loss": F.cross_entropy(logits_BC.float(), labels_B), "accuracy/train": accuracy}
