"""Fine-tuning: one view, cross-entropy, the training loop of pretraining."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cocon.config.schema import Finetune
from cocon.evaluation.labelled_clips import LabelledClip, LabelledClips, augment_clips
from cocon.training.launch import World, prepare_network
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
        settings: The schedule.
        seed: Seed of order, augmentation and dropout.
        state: Where the unfinished run is kept.
        reporter: Where progress is told.
        loggers: Where the curves go.
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
        loggers: Loggers,
    ) -> None:
        self.clips, self.jitter = clips, settings.jitter
        world = World(next(classifier.parameters()).device)
        prepare_network(classifier, settings, world.device)
        super().__init__(
            classifier,
            clips,
            settings=settings,
            section="evaluation.finetune",
            epochs=settings.epochs,
            batch_size=min(settings.batch_size, len(clips)),
            accumulate=settings.accumulate,
            schedule=Schedule(
                settings.schedule,
                settings.learning_rate,
                settings.epochs,
                warmup_epochs=settings.warmup_epochs,
                milestones=settings.milestones,
            ),
            seed=seed,
            state=state,
            world=world,
            reporter=reporter,
            loggers=loggers,
        )

    def loss_of(self, batch: LabelledClip, number: int) -> dict[str, Tensor]:
        """Cross-entropy, and the accuracy on the augmented training clips."""
        device = self.world.device
        generator = self.seeded("classifier", "labelled clips", self.epoch, number)
        x_u8_BTCHW = batch.frames.to(device, non_blocking=True)
        x_BNCKHW = augment_clips(x_u8_BTCHW, self.clips.view, self.clips.clip, self.jitter, generator)
        labels_B = torch.as_tensor(batch.label, device=device)
        with self.autocast():
            logits_BC = self.model(x_BNCKHW)
        accuracy = (logits_BC.argmax(1) == labels_B).float().mean()
        return {"loss": F.cross_entropy(logits_BC.float(), labels_B), "accuracy/train": accuracy}
