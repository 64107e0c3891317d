"""One model and its optimiser: the loss of a batch, and a step of one or several batches."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from functools import reduce
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from cocon.config.schema import Training
from cocon.training.devices import World, autocast
from cocon.training.divergence import StepValues
from cocon.training.schedule import Schedule
from cocon.training.seeds import derived_seed
from cocon.training.switches import Switches
from cocon.transfer import Late


class Batch(Protocol):
    """The interface of all batches."""

    @property
    def video_id(self) -> Any:
        """The ids of its videos."""


BatchT = TypeVar("BatchT", bound=Batch)


class Optimisation(ABC, Generic[BatchT]):
    """A model, its optimiser and the position in the training.

    One step averages the gradients of ``accumulate`` batches; the rest at the end of an epoch makes a smaller
    step. This equals the gradient of one large batch if the loss is a mean over clips; batch norm and
    contrastive losses see each batch separately.

    Args:
        module: what is trained, in place; on its device.
        world: device and processes.
        seed: seeds dropout and augmentation.
        settings: optimiser and precision.
        section: name of these settings, for hints.
        schedule: the learning rate.
        steps: optimiser steps per epoch.
        accumulate: batches per step.

    Attributes:
        epoch: the number of finished epochs.
        step: the number of finished steps of this epoch.
        switches: precision, memory layout and compilation.
    """

    def __init__(
        self,
        module: nn.Module,
        world: World,
        seed: int,
        *,
        settings: Training,
        section: str,
        schedule: Schedule,
        steps: int,
        accumulate: int,
    ) -> None:
        self.module, self.world, self.seed = module, world, seed
        self.settings, self.section, self.schedule = settings, section, schedule
        self.steps, self.accumulate = steps, accumulate
        self.epoch = self.step = 0
        self.model = self._distributed(module) if world.size > 1 else module
        self.parameters = [p for p in module.parameters() if p.requires_grad]
        self.switches = Switches.of(settings, world.device)
        self.optimiser = self.make_optimiser()
        self.scaler = torch.amp.GradScaler(world.device.type, enabled=self.switches.amp == "fp16")

    def _distributed(self, module: nn.Module) -> DistributedDataParallel:
        """Wrap the module in DDP. Gradients are views of the communication buckets, not copies.

        All trained parameters get a gradient in every batch, so the graph is static. A static graph cannot be
        combined with skipping the communication of all but the last batch of a step. Buffers, the statistics
        of batch norm, are not sent in every step: a training step does not read them.
        """
        return DistributedDataParallel(
            module,
            gradient_as_bucket_view=True,
            static_graph=self.accumulate == 1,
            broadcast_buffers=False,
        )

    @abstractmethod
    def loss_of(self, batch: BatchT, number: int) -> dict[str, Tensor]:
        """The loss of a batch, named ``loss``, with gradient, and other scalars without.

        Args:
            batch: a batch of the data set, on the CPU.
            number: index of the batch within the epoch.
        """

    def make_optimiser(self) -> torch.optim.Optimizer:
        """Adam for all parameters.

        A group's optional entry ``factor`` multiplies the scheduled learning rate.
        """
        return torch.optim.Adam(
            self.parameters,
            lr=self.schedule.learning_rate,
            weight_decay=self.settings.weight_decay,
            fused=self.switches.fused or None,
        )

    def load_optimiser(self, state: dict[str, Any]) -> None:
        """Load the state of an optimiser, which may be of another implementation."""
        for theirs, ours in zip(state["param_groups"], self.optimiser.param_groups, strict=True):
            theirs |= {key: ours[key] for key in ("fused", "foreach") if key in ours}
        self.optimiser.load_state_dict(state)

    def train_step(self, window: list[BatchT]) -> StepValues:
        """One step of the optimiser; on a GPU it may still be running on return.

        Args:
            window: the batches of this process to average over.

        Returns:
            Loss, other scalars and norm of the gradient, to be read when the next step is under way.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = self.schedule.rate(self.epoch, self.step, self.steps) * group.get("factor", 1.0)
        self.optimiser.zero_grad(set_to_none=True)
        names: list[str] = []
        values: list[Tensor] = []
        for place, batch in enumerate(window):
            with self.switches.stepping(), self._communication(place == len(window) - 1):
                found = self.loss_of(batch, self.step * self.accumulate + place)
                self.scaler.scale(found["loss"] / len(window)).backward()
            names = [*found]
            values.append(torch.stack([value.detach() for value in found.values()]))
        self.scaler.unscale_(self.optimiser)
        norm = get_total_norm([p.grad for p in self.parameters if p.grad is not None])
        sums = torch.cat([reduce(torch.add, values), norm[None] * len(window)])
        means = sums.div_(len(window)).double()
        result = StepValues(
            (*names, "gradient_norm"),
            Late(self.world.sum_(means) / self.world.size),
            [name for batch in window for name in batch.video_id],
            self.world,
            scaled=self.scaler.is_enabled(),
            place=f"epoch {self.epoch + 1}, step {self.step + 1}",
            section=self.section,
        )
        if self.settings.clip_gradient:
            clip_grads_with_norm_(self.parameters, self.settings.clip_gradient, norm)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        return result

    def _communication(self, last: bool) -> contextlib.AbstractContextManager[None]:
        """DDP averages the gradients of the processes once per step, in the backward of the last batch."""
        if isinstance(self.model, DistributedDataParallel) and not last:
            no_sync: contextlib.AbstractContextManager[None] = self.model.no_sync()
            return no_sync
        return contextlib.nullcontext()

    def autocast(self) -> torch.autocast:
        """The mixed precision of the training."""
        return autocast(self.world.device, self.switches.amp)

    def seeded(self, network: str, augmentation: str, *batch: int) -> torch.Generator:
        """Seed one batch: dropout through the global generators, and augmentation.

        Args:
            network: seed purpose of dropout.
            augmentation: seed purpose of augmentation.
            *batch: identifies the batch: epoch, number, process.

        Returns:
            The source of randomness of the augmentation, on the CPU.
        """
        torch.manual_seed(derived_seed(self.seed, network, *batch))
        return torch.Generator().manual_seed(derived_seed(self.seed, augmentation, *batch))
