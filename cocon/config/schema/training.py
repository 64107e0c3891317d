"""Keys that several sections share: how a training runs, is probed and learns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from cocon.config.schema.base import PositiveFloat, PositiveInt, Section

_LENGTHS = {"epochs", "steps"}

#: processes that load data
Workers = Annotated[int, Field(ge=0)] | Literal["auto"]


class Running(Section):
    """How a training loop runs; nothing is trained again because of it. Belongs under ``jobs``.

    On a CPU none of it changes the networks that come out; on a GPU ``tf32`` and ``fused_optimiser`` change
    how numbers are rounded, as another GPU does.
    """

    checkpoint_every: PositiveInt = Field(
        1, description="epochs between checkpoints; two are at least a minute apart, however short epochs are"
    )
    checkpoint_minutes: float = Field(
        30.0, ge=0, description="within a longer epoch a checkpoint after so many minutes; 0: none"
    )
    keep_checkpoints: PositiveInt = Field(
        2,
        description="number of checkpoints that are kept, the newest; an older one serves if that is damaged",
    )
    workers: Workers = Field(
        "auto",
        description="processes that load data; 0: in the training process; auto: on a GPU one per thread but "
        "one, as far as shared memory suffices, else 0",
    )
    cache_megabytes: int = Field(
        1000, ge=0, description="memory for decoded frames, MB, of all workers together; 0: decode every time"
    )
    loggers: tuple[Literal["wandb", "mlflow"], ...] = Field(
        (), description="where the curves go in addition to log.jsonl and tensorboard/"
    )
    tf32: bool = Field(
        True, description="a GPU rounds the factors of products in float32 to 10 bits (TF32), and is faster"
    )
    fused_optimiser: bool = Field(True, description="on a GPU a step of the optimiser is one kernel")
    pin_memory: bool = Field(
        True, description="batches for a GPU lie in memory that it reads while the host goes on"
    )


class Probing(Section):
    """Measurements during pretraining, for the curves. Belongs under ``jobs``."""

    probe_every: int = Field(
        0,
        ge=0,
        description="epochs from one measurement (linear probe, k-NN and neighbours on training videos, for "
        "the curves) to the next, the first before training; 0: off",
    )
    probe_videos: int = Field(
        400, ge=8, description="number of training videos that are measured on; a quarter of them tests"
    )


#: keys of several sections, which have defaults of their own
Epochs = Annotated[
    PositiveInt | None,
    Field(description="passes over the training videos, one clip of each; null: steps are given"),
]
LearningRate = Annotated[PositiveFloat, Field(description="learning rate at its highest, per step")]
WeightDecay = Annotated[
    float, Field(ge=0, description="part of a weight that is added to its gradient; 1e-5: Rai et al. 2021")
]


class Length(Section):
    """How long a training is: ``epochs``, or ``steps`` in their place."""

    epochs: Epochs = None
    steps: PositiveInt | None = Field(
        None,
        description="in place of epochs: steps of the optimiser, at least, in whole epochs, so that few "
        "videos are trained on as long as many",
    )

    @model_validator(mode="before")
    @classmethod
    def _one_of_two(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        given = {key: value for key, value in data.items() if key not in _LENGTHS or value is not None}
        if not given.keys() >= _LENGTHS:
            return {**given, "epochs": None} if "steps" in given else given
        raise ValueError(
            "epochs and steps exclude each other: leave one of them out (null, where another file has it)"
        )

    @model_validator(mode="after")
    def _has_one(self) -> Length:
        if self.epochs is None and self.steps is None:
            raise ValueError("epochs or steps is missing")
        return self

    @model_serializer(mode="wrap")
    def _what_is_given(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without the one that is not given."""
        document: dict[str, Any] = handler(self)
        return {key: value for key, value in document.items() if key not in _LENGTHS or value is not None}

    def whole_epochs(self, steps: int) -> int:
        """Number of epochs, when each has so many steps of the optimiser."""
        if self.epochs is not None:
            return self.epochs
        assert self.steps is not None
        return -(-self.steps // steps)


class Training(Running):
    """How networks are trained; pretraining and fine-tuning share these keys."""

    moved: ClassVar[frozenset[str]] = frozenset(Running.model_fields)
    #: as they once were for all; on a CPU they are what the defaults are
    as_default: ClassVar[Mapping[str, Any]] = {"amp": "off", "channels_last_3d": False}

    weight_decay: WeightDecay = 1e-5
    warmup_epochs: float = Field(
        0.0, ge=0, description="epochs in which the learning rate rises linearly, step by step; 0: off"
    )
    warmup_steps: int = Field(
        0, ge=0, description="steps of the optimiser, in place of warmup_epochs; 0: off"
    )
    clip_gradient: float = Field(
        0.0, ge=0, description="largest L2 norm of the gradient; a larger one is scaled down to it; 0: off"
    )
    amp: Literal["auto", "bf16", "fp16", "off"] = Field(
        "auto",
        description="mixed precision: the type that convolutions compute in; auto: bf16 on a GPU that has it,"
        " off elsewhere (results are not made again between these two); fp16 has a loss scale",
    )
    compile: bool = Field(
        False,
        description="training steps run the networks through torch.compile; not together with amp on a CPU",
    )
    channels_last_3d: bool | None = Field(
        None,
        description="weights of convolutions have their channels last in memory; null: on a GPU (results are "
        "not made again between null and false)",
    )

    @model_validator(mode="after")
    def _one_warm_up(self) -> Training:
        if self.warmup_epochs and self.warmup_steps:
            raise ValueError("warmup_epochs and warmup_steps exclude each other: leave one of them out")
        return self

    def warmup(self, steps: int) -> float:
        """Length of the warm-up in epochs, when each has so many steps of the optimiser."""
        return self.warmup_steps / steps if self.warmup_steps else self.warmup_epochs
