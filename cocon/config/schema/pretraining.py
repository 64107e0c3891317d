"""Section ``pretraining`` of a recipe."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from cocon.config.schema.base import Fraction, PositiveFloat, PositiveInt, Range, Section, ViewName
from cocon.config.schema.training import Length, Probing, Training
from cocon.pretrainings import STAGE1, WITHOUT_STAGE1


class Loss(Section):
    """Kinds, weights and temperatures of the terms of the loss; see docs/method.md."""

    temperature: PositiveFloat = Field(0.005, description="tau of L_cpc")
    cooperation: float = Field(10.0, ge=0, description="lambda, weight of L_sync + alpha L_sim")
    similarity: float = Field(1.0, ge=0, description="alpha, weight of L_sim beside L_sync")
    sync: Literal["l1", "squared"] = Field("l1", description="distance of L_sync: absolute or squared")
    sim: Literal["hinge", "infonce"] = Field(
        "hinge", description="L_sim: CoCon's balanced hinge, or a cross-entropy between views (HOMAGE)"
    )
    margin: float = Field(
        1.0, gt=0, le=2, description="mu of the hinge: the distance 1 - cos that different instances keep"
    )
    contrast_temperature: PositiveFloat = Field(
        0.07, description="tau of every InfoNCE: sim: infonce, and the presets cmc, nce and coclr"
    )
    queue: PositiveInt = Field(
        2048, description="coclr: so many clips of past batches are candidates beside those of the batch"
    )
    nearest: PositiveInt = Field(
        5, description="coclr: so many clips of the queue, the nearest in another view, are positives"
    )


class Augmentation(Section):
    """Augmentation in pretraining; the crop is random in any case."""

    resized_crop: tuple[ViewName, ...] = Field(
        (),
        description="views whose crop has a random size and shape (the paper: rgb on Kinetics)",
    )
    crop_area: Range = Field((0.5, 1.0), description="of a resized crop, as a part of the frame")
    crop_aspect: Range = Field((3 / 4, 4 / 3), description="width / height of a resized crop")

    rgb_flip: Fraction = Field(0.5, description="probability of a horizontal flip of rgb")
    flow_flip: Fraction = Field(0.0, description="the same for flow; u changes its sign")
    mask_flip: Fraction = 0.0
    pose_flip: Fraction = Field(0.0, description="the same for pose; left and right change places")
    grey: Fraction = Field(0.5, description="probability per frame that rgb loses its colour")
    brightness: float = Field(0.5, ge=0, description="jitter per frame")
    contrast: float = Field(0.5, ge=0)
    saturation: float = Field(0.5, ge=0)
    hue: float = Field(0.25, ge=0, le=0.5)
    crop_candidates: PositiveInt = Field(
        3,
        description="crops tried for all views but rgb; the one with most content is taken; 1: off",
    )
    shared_crop: bool = Field(False, description="one crop for all views of a clip, drawn once")

    @model_validator(mode="after")
    def _ranges_ascend(self) -> Augmentation:
        for name, (low, high) in {"crop_area": self.crop_area, "crop_aspect": self.crop_aspect}.items():
            if low > high:
                raise ValueError(f"{name} must be [lowest, highest]")
        if self.crop_area[1] > 1:
            raise ValueError("crop_area is a part of the frame, so at most 1")
        return self


class Stage(Length):
    """One stage of the schedule."""

    batch_size: PositiveInt = Field(16, description="clips per process and batch")
    accumulate: PositiveInt = Field(
        1, description="batches whose mean gradient makes one step; each is contrasted within itself only"
    )
    learning_rate: PositiveFloat = 1e-3


class FirstStage(Stage):
    """Every view alone."""

    epochs: PositiveInt | None = 100


class SecondStage(Stage):
    """All views together."""

    epochs: PositiveInt | None = 60


class Pretraining(Probing, Training):
    """The two-stage schedule: every view alone with L_cpc, then all views together."""

    stage1: FirstStage = FirstStage()
    stage2: SecondStage = SecondStage()
    loss: Loss = Loss()
    augmentation: Augmentation = Augmentation()
    schedule: Literal["plateau", "step", "cosine", "constant"] = Field(
        "plateau",
        description="plateau: lower when validation stalls; step: tenfold lower at every milestone; "
        "cosine: down to the minimum, step by step",
    )
    milestones: tuple[Fraction, ...] = Field((0.6, 0.8), description="schedule step: fractions of the epochs")
    plateau_factor: float = Field(0.1, gt=0, lt=1)
    plateau_patience: PositiveInt = Field(10, description="epochs without improvement")
    minimum_learning_rate: float = Field(1e-5, ge=0)
    validation_fraction: float = Field(
        0.1, ge=0, lt=1, description="part of the training groups held out; 0: no validation, no plateau"
    )
    result: Literal["last", "best"] = Field(
        "last", description="the encoders of the last epoch, or of the one that is best by best_by"
    )
    best_by: Literal["validation_loss", "probe"] = Field(
        "validation_loss",
        description="result best is the epoch with the lowest loss on videos held out, or with the highest "
        "accuracy of k-NN on labelled training videos: docs/training.md",
    )
    best_every: PositiveInt | None = Field(
        None, description="best_by probe: epochs between measurements; null: a twentieth of the training"
    )
    best_videos: int = Field(400, ge=8, description="best_by probe: at most so many labelled training videos")
    sync_batch_norm: bool = Field(
        False, description="batch norm over the batches of all processes of a distributed run"
    )

    def scales_all_crops_of(self, view: str) -> bool:
        """Whether pretraining scales every crop of a view, so that a crop may be larger than the frames."""
        scales = view in self.augmentation.resized_crop
        return scales and not self.validation_fraction and not self.reads_labels

    @property
    def reads_labels(self) -> bool:
        """Whether labels of training videos choose the epoch that the encoders are of."""
        return self.result == "best" and self.best_by == "probe"

    def whole_epochs(self, stage: str, preset: str, steps: int) -> int:
        """Epochs of a stage, when each has so many steps; what has no stage 1 gets those of both."""
        chosen = [self.stage1 if stage == STAGE1 else self.stage2]
        if stage != STAGE1 and preset in WITHOUT_STAGE1:
            chosen.append(self.stage1)
        return sum(part.whole_epochs(steps) for part in chosen)

    @property
    def mixes_lengths(self) -> bool:
        """Whether one stage counts epochs and the other one steps, so that they have no common sum."""
        return (self.stage1.steps is None) != (self.stage2.steps is None)

    @model_validator(mode="after")
    def _best_of_what(self) -> Pretraining:
        if self.result == "best" and self.best_by == "validation_loss" and self.validation_fraction == 0:
            raise ValueError(
                "result 'best' needs a validation loss: validation_fraction must not be 0, or set best_by: "
                "probe, where training videos have labels"
            )
        return self
