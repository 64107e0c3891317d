"""The settings of the protocols that encoders are evaluated by: a section each, see cocon/protocols.py."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, create_model

from cocon.config.schema.base import Fraction, PositiveFloat, PositiveInt, Section
from cocon.config.schema.training import Epochs, LearningRate, Length, Training, WeightDecay
from cocon.protocols import PROTOCOLS


class Linear(Section):
    """Logistic regression on cached features of the frozen encoder."""

    inverse_regularisation: PositiveFloat = Field(
        0.1, description="C of logistic regression: the inverse of the weight of the L2 penalty"
    )
    max_iterations: PositiveInt = Field(2000, description="iterations of L-BFGS, at most")


class Retrieval(Section):
    """Nearest neighbours by cosine; gallery: training videos, queries: test videos (CoCLR's protocol)."""

    ranks: tuple[PositiveInt, ...] = Field((1, 5, 10, 20, 50), description="k of the reported R@k")


Optimiser = Annotated[Literal["adam", "sgd"], Field(description="adam (Kingma and Ba 2015), or sgd")]
Head = Annotated[
    Literal["context", "encoder"],
    Field(
        description="what is classified: the aggregator's last state, or the mean of the encoder's features, "
        "L2-normalised"
    ),
]
Dropout = Annotated[Fraction, Field(description="probability of dropout before the linear layer")]
BackboneRate = Annotated[
    Fraction,
    Field(description="learning rate of encoder and aggregator, as a fraction of learning_rate; 0: frozen"),
]
Milestones = Annotated[
    tuple[Fraction, ...],
    Field(description="of schedule step: the learning rate falls tenfold at these fractions of the epochs"),
]
TestCrops = Annotated[
    Literal[1, 10],
    Field(description="crops averaged per window: 1, the centre; 10, centre and corners, each mirrored too"),
]


class Finetune(Length, Training):
    """The encoder and the aggregator trained further with labels, as in CoCon (Rai et al. 2021)."""

    epochs: Epochs = 100
    batch_size: int = Field(16, ge=2, description="clips per batch; batch norm needs two")
    accumulate: PositiveInt = Field(1, description="batches whose mean gradient makes one step")
    learning_rate: LearningRate = 1e-3
    backbone_rate: BackboneRate = 1.0
    optimiser: Optimiser = "adam"
    momentum: float = Field(
        0.9, ge=0, lt=1, description="of optimiser sgd: part of the last step that is added to the next"
    )
    schedule: Literal["step", "cosine", "constant"] = Field(
        "step",
        description="how the learning rate falls: tenfold at every milestone, along a cosine to 0, or not",
    )
    milestones: Milestones = (0.5, 0.7, 0.9)
    head: Head = "context"
    dropout: Dropout = 0.7
    jitter: Fraction = Field(
        0.3,
        description="probability of a colour jitter of rgb, equal for all frames of a clip (Rai et al. 2021)",
    )
    test_crops: TestCrops = 1

    @property
    def idle(self) -> dict[str, str]:
        """The keys of other schedules and optimisers."""
        found = {}
        if self.schedule != "step":
            found["milestones"] = f"schedule is {self.schedule}"
        if self.optimiser != "sgd":
            found["momentum"] = f"optimiser is {self.optimiser}"
        return found


class FinetuneDpc(Finetune):
    """Fine-tuning as in DPC (Han et al. 2019); milestones for UCF101 at 128 px."""

    epochs: Epochs = 300
    weight_decay: WeightDecay = 1e-3
    milestones: Milestones = (60 / 300, 80 / 300, 100 / 300)
    dropout: Dropout = 0.5


class FinetuneMemdpc(Finetune):
    """Fine-tuning as in MemDPC (Han et al. 2020); epochs and milestones for UCF101."""

    epochs: Epochs = 500
    weight_decay: WeightDecay = 1e-3
    milestones: Milestones = (0.6, 0.8)
    dropout: Dropout = 0.9
    test_crops: TestCrops = 10


class FinetuneCoclr(Finetune):
    """Fine-tuning as in CoCLR (Han et al. 2020): the backbone learns ten times more slowly."""

    epochs: Epochs = 500
    weight_decay: WeightDecay = 1e-3
    backbone_rate: BackboneRate = 0.1
    milestones: Milestones = (0.8, 0.9)
    dropout: Dropout = 0.9
    test_crops: TestCrops = 10


class LinearSgd(Finetune):
    """A linear layer on the frozen encoder, trained on augmented clips by SGD, as in CoCLR."""

    weight_decay: WeightDecay = 1e-3
    learning_rate: LearningRate = 0.1
    backbone_rate: BackboneRate = 0.0
    optimiser: Optimiser = "sgd"
    milestones: Milestones = (0.6, 0.8)
    head: Head = "encoder"
    dropout: Dropout = 0.0


#: the settings of every protocol, by its name; the table of protocols has the names of the classes above
SECTIONS: dict[str, type[Section]] = {name: globals()[entry.section] for name, entry in PROTOCOLS.items()}


def sections_of(names: Iterable[str]) -> dict[str, tuple[type[Section], Section]]:
    """Keys of a section that has those of some protocols within it, for ``create_model``.

    A section comes after the one that it is derived from, so that the manual can refer to that one.
    """
    ordered = sorted(names, key=lambda name: len(SECTIONS[name].__mro__))
    return {name: (SECTIONS[name], SECTIONS[name]()) for name in ordered}


class Own(Section):
    """A protocol of a user: the section of a built-in one, with other values.

    Each is also an instance of that section's class.
    """

    like: str = Field(description="the built-in protocol that it is a variant of")


def _own(name: str) -> Any:
    """The section of the protocols that are like a built-in one: it, with the key ``like``."""
    bases: Any = (SECTIONS[name], Own)
    like: Any = (Literal[name], Field(description=Own.model_fields["like"].description))
    return create_model(
        f"Own{SECTIONS[name].__name__}",
        __base__=bases,
        __doc__=f"Your own variant of `{name}`.",
        __module__=__name__,
        like=like,
    )


if TYPE_CHECKING:
    Protocol = str
    OwnProtocol = Own
else:
    Protocol = Literal[tuple(PROTOCOLS)]
    OwnProtocol = Annotated[reduce(or_, map(_own, PROTOCOLS)), Field(discriminator="like")]
