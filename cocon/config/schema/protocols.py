"""The protocols that encoders are evaluated by: one section each, in one table."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, create_model

from cocon.config.schema.base import Fraction, PositiveFloat, PositiveInt, Section
from cocon.config.schema.training import Length, Training


class Linear(Section):
    """Logistic regression on cached features of the frozen encoder."""

    inverse_regularisation: PositiveFloat = Field(0.1, description="C of logistic regression")
    max_iterations: PositiveInt = 2000


class Retrieval(Section):
    """Nearest neighbours by cosine; gallery: training videos, queries: test videos."""

    ranks: tuple[PositiveInt, ...] = Field((1, 5, 10, 20, 50), description="k of the reported R@k")


class Finetune(Length, Training):
    """The encoder and the aggregator trained further with labels: CoCon's protocol."""

    epochs: PositiveInt | None = 100
    batch_size: int = Field(16, ge=2, description="clips per batch; batch norm needs two")
    accumulate: PositiveInt = Field(1, description="batches whose mean gradient makes one step")
    learning_rate: PositiveFloat = 1e-3
    backbone_rate: Fraction = Field(
        1.0, description="learning rate of encoder and aggregator, as a part of learning_rate; 0: frozen"
    )
    optimiser: Literal["adam", "sgd"] = "adam"
    momentum: float = Field(0.9, ge=0, lt=1, description="of optimiser sgd")
    schedule: Literal["step", "cosine", "constant"] = "step"
    milestones: tuple[Fraction, ...] = Field(
        (0.5, 0.7, 0.9), description="the learning rate falls tenfold at these fractions of the epochs"
    )
    head: Literal["context", "encoder"] = Field(
        "context",
        description="what is classified: the aggregator's last state, or the mean of the encoder's features, "
        "L2-normalised",
    )
    dropout: Fraction = 0.7
    jitter: Fraction = Field(0.3, description="probability of a clip-consistent colour jitter")
    test_crops: Literal[1, 10] = Field(
        1,
        description="what is averaged per window: the centre crop, or centre and corners, each mirrored too",
    )


class FinetuneDpc(Finetune):
    """Fine-tuning as in DPC (Han et al. 2019); milestones for UCF101 at 128 px."""

    epochs: PositiveInt | None = 300
    weight_decay: float = Field(1e-3, ge=0)
    milestones: tuple[Fraction, ...] = (60 / 300, 80 / 300, 100 / 300)
    dropout: Fraction = 0.5


class FinetuneMemdpc(Finetune):
    """Fine-tuning as in MemDPC (Han et al. 2020); epochs and milestones for UCF101."""

    epochs: PositiveInt | None = 500
    weight_decay: float = Field(1e-3, ge=0)
    milestones: tuple[Fraction, ...] = (0.6, 0.8)
    dropout: Fraction = 0.9
    test_crops: Literal[1, 10] = 10


class FinetuneCoclr(Finetune):
    """Fine-tuning as in CoCLR (Han et al. 2020): the backbone learns ten times more slowly."""

    epochs: PositiveInt | None = 500
    weight_decay: float = Field(1e-3, ge=0)
    backbone_rate: Fraction = 0.1
    milestones: tuple[Fraction, ...] = (0.8, 0.9)
    dropout: Fraction = 0.9
    test_crops: Literal[1, 10] = 10


class LinearSgd(Finetune):
    """A linear layer on the frozen encoder, trained on augmented clips by SGD, as in CoCLR."""

    weight_decay: float = Field(1e-3, ge=0)
    learning_rate: PositiveFloat = 0.1
    backbone_rate: Fraction = 0.0
    optimiser: Literal["adam", "sgd"] = "sgd"
    milestones: tuple[Fraction, ...] = (0.6, 0.8)
    head: Literal["context", "encoder"] = "encoder"
    dropout: Fraction = 0.0


#: the settings of every protocol, by its name
SECTIONS: dict[str, type[Section]] = {
    "linear": Linear,
    "linear_sgd": LinearSgd,
    "retrieval": Retrieval,
    "finetune": Finetune,
    "finetune_dpc": FinetuneDpc,
    "finetune_memdpc": FinetuneMemdpc,
    "finetune_coclr": FinetuneCoclr,
}
#: ways to judge an encoder; those in FRAME_PROTOCOLS train on frames, the others on cached features
PROTOCOLS: tuple[str, ...] = tuple(SECTIONS)
FRAME_PROTOCOLS: tuple[str, ...] = tuple(name for name in PROTOCOLS if issubclass(SECTIONS[name], Finetune))


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
    Protocol = Literal[PROTOCOLS]
    OwnProtocol = Annotated[reduce(or_, map(_own, PROTOCOLS)), Field(discriminator="like")]
