"""Keys that several sections share: how a training runs, is probed and learns."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from cocon.config.schema.base import PositiveInt, Section


class Running(Section):
    """How a training loop runs; none of it changes the networks that come out. Belongs under ``jobs``."""

    checkpoint_every: PositiveInt = Field(1, description="epochs between checkpoints")
    checkpoint_minutes: float = Field(
        30.0, ge=0, description="within a longer epoch a checkpoint after so many minutes; 0: none"
    )
    keep_checkpoints: PositiveInt = Field(
        2, description="the newest so many are kept; an older one serves when the newest is damaged"
    )
    workers: int = Field(0, ge=0, description="processes that load data; 0: in the training process")
    cache_megabytes: int = Field(
        1000, ge=0, description="memory for decoded frames, of all workers together; 0: decode every time"
    )
    loggers: tuple[Literal["wandb", "mlflow"], ...] = Field(
        (), description="where the curves go in addition to log.jsonl and tensorboard/"
    )


class Probing(Section):
    """Measurements during pretraining, for the curves. Belongs under ``jobs``."""

    probe_every: int = Field(
        0,
        ge=0,
        description="every so many epochs linear probe and k-NN on training videos, for the curves; 0: off",
    )
    probe_videos: int = Field(400, ge=8, description="training videos of the probe; a quarter tests it")


class Training(Running):
    """How networks are trained; pretraining and fine-tuning share these keys."""

    weight_decay: float = Field(1e-5, ge=0)
    warmup_epochs: float = Field(
        0.0, ge=0, description="the learning rate rises linearly for so long, step by step"
    )
    clip_gradient: float = Field(
        0.0, ge=0, description="a gradient of a larger norm is scaled down to it; 0: off"
    )
    amp: Literal["off", "bf16", "fp16"] = "off"
    compile: bool = Field(False, description="torch.compile the networks")
    channels_last_3d: bool = Field(False, description="weights of convolutions with channels last in memory")
