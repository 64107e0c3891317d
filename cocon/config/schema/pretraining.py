"""Section ``pretraining`` of a recipe."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, create_model, model_validator

from cocon.config.schema.base import Fraction, PositiveFloat, PositiveInt, Range, Section, ViewName
from cocon.config.schema.training import Epochs, LearningRate, Length, Probing, Training
from cocon.pretrainings import PRESETS, STAGE1, WITHOUT_STAGE1, keys_read
from cocon.views import VIEWS, View


class Loss(Section):
    """Kinds, weights and temperatures of the terms of the loss; see docs/method.md."""

    temperature: PositiveFloat = Field(
        0.005, description="tau of L_cpc, by which cosines are divided (Rai et al. 2021)"
    )
    cooperation: float = Field(
        10.0, ge=0, description="lambda, weight of L_sync + alpha L_sim (Rai et al. 2021)"
    )
    similarity: float = Field(
        1.0, ge=0, description="alpha, weight of L_sim relative to L_sync (Rai et al. 2021)"
    )
    sync: Literal["l1", "squared"] = Field(
        "l1",
        description="distance of L_sync: absolute, as in the authors' code; squared, as in US 2022/0180101",
    )
    sim: Literal["hinge", "infonce"] = Field(
        "hinge",
        description="kind of L_sim: a balanced hinge (Rai et al. 2021), or a cross-entropy between views "
        "(HOMAGE, Rai et al. 2021, arXiv 2105.05226)",
    )
    margin: float = Field(
        1.0,
        gt=0,
        le=2,
        description="mu of the hinge: the distance 1 - cos that different instances keep (Rai et al. 2021)",
    )
    contrast_temperature: PositiveFloat = Field(
        0.07,
        description="tau of every InfoNCE: sim: infonce, and the presets cmc, nce and coclr (Wu et al. 2018)",
    )
    queue: PositiveInt = Field(
        2048,
        description="coclr: clips of past batches that are candidates as well (Han, Xie and Zisserman 2020)",
    )
    nearest: PositiveInt = Field(
        5,
        description="coclr: clips of the queue, the nearest in another view, that are positives (the same)",
    )

    @property
    def idle(self) -> dict[str, str]:
        """The keys that no pretraining reads."""
        values = self.model_dump()
        read = {key for preset in PRESETS for key in keys_read(preset, values)}
        return {key: f"sim is {self.sim}" for key in values if key not in read}


def _flip(view: View) -> Any:
    """The key for the flips of a view."""
    text = f"probability of a horizontal flip of {view.name}{view.flip_note}"
    return (Fraction, Field(view.flip, description=text))


#: one key for each view
_Flips = create_model(
    "_Flips", __base__=Section, **{f"{view.name}_flip": _flip(view) for view in VIEWS.values()}
)


class Augmentation(_Flips):
    """Augmentation in pretraining; the crop is random in any case."""

    resized_crop: tuple[ViewName, ...] = Field(
        (),
        description="views whose crop has a random size and shape (the paper: rgb on Kinetics)",
    )
    crop_area: Range = Field(
        (0.5, 1.0), description="area of a resized crop, lowest and highest, as a fraction of the frame's"
    )
    crop_aspect: Range = Field(
        (3 / 4, 4 / 3), description="width / height of a resized crop, lowest and highest"
    )
    grey: Fraction = Field(0.5, description="probability per frame that rgb loses its colour")
    brightness: float = Field(
        0.5, ge=0, description="of rgb, per frame, times a factor from 1 - this to 1 + this"
    )
    contrast: float = Field(0.5, ge=0, description="the same factor for the contrast")
    saturation: float = Field(0.5, ge=0, description="the same factor for the saturation")
    hue: float = Field(
        0.25,
        ge=0,
        le=0.5,
        description="of rgb, per frame, turned by up to this part of the circle, either way",
    )
    crop_candidates: PositiveInt = Field(
        3,
        description="random crops of flow, mask and pose, of which the one with most content is taken; 1: "
        "off, 3: the authors' code",
    )
    shared_crop: bool = Field(False, description="one crop for all views of a clip, drawn once")

    @property
    def flips(self) -> dict[str, float]:
        """Probability of a horizontal flip, by view."""
        return {view: getattr(self, f"{view}_flip") for view in VIEWS}

    @property
    def idle(self) -> dict[str, str]:
        """The keys of crops that are not made."""
        found: dict[str, str] = {}
        if not self.resized_crop:
            found |= dict.fromkeys(("crop_area", "crop_aspect"), "resized_crop is empty")
        if self.shared_crop:
            found["crop_candidates"] = "shared_crop is true"
        return found

    @model_validator(mode="after")
    def _ranges_ascend(self) -> Augmentation:
        for name, (low, high) in {"crop_area": self.crop_area, "crop_aspect": self.crop_aspect}.items():
            if low > high:
                raise ValueError(f"{name} must be [lowest, highest]")
        if self.crop_area[1] > 1:
            raise ValueError("crop_area is a part of the frame, so at most 1")
        return self


class Stage(Length):
    """One of the two stages."""

    batch_size: PositiveInt = Field(
        16, description="clips per process and batch (Rai et al. 2021: 16 on each of 4 GPUs)"
    )
    accumulate: PositiveInt = Field(
        1, description="batches whose mean gradient makes one step; each is contrasted within itself only"
    )
    learning_rate: LearningRate = 1e-3


class FirstStage(Stage):
    """Every view alone, with L_cpc; 100 epochs on UCF101, 80 on Kinetics-400 (Rai et al. 2021)."""

    epochs: Epochs = 100


class SecondStage(Stage):
    """All views together, with all terms; 60 epochs on UCF101, 40 on Kinetics-400 (Rai et al. 2021)."""

    epochs: Epochs = 60


class Pretraining(Probing, Training):
    """Two stages: every view alone with L_cpc, then all views together."""

    moved: ClassVar[frozenset[str]] = Training.moved | frozenset(Probing.model_fields)

    stage1: FirstStage = FirstStage()
    stage2: SecondStage = SecondStage()
    loss: Loss = Loss()
    augmentation: Augmentation = Augmentation()
    schedule: Literal["plateau", "step", "cosine", "constant"] = Field(
        "plateau",
        description="how the learning rate falls; plateau: when the validation loss stalls (Rai et al. 2021);"
        " step: tenfold at every milestone; cosine: down to the minimum, step by step",
    )
    milestones: tuple[Fraction, ...] = Field(
        (0.6, 0.8), description="of schedule step: fractions of the epochs"
    )
    plateau_factor: float = Field(
        0.1, gt=0, lt=1, description="of schedule plateau: factor of the learning rate each time"
    )
    plateau_patience: PositiveInt = Field(10, description="of schedule plateau: epochs without improvement")
    minimum_learning_rate: float = Field(
        1e-5, ge=0, description="of the schedules plateau and cosine: the lowest learning rate"
    )
    validation_fraction: float = Field(
        0.1, ge=0, lt=1, description="fraction of the training groups held out; 0: no validation, no plateau"
    )
    result: Literal["last", "best"] = Field(
        "last", description="encoders that are kept: of the last epoch, or of the one that is best by best_by"
    )
    best_by: Literal["validation_loss", "probe"] = Field(
        "validation_loss",
        description="of result best: the epoch with the lowest loss on videos held out, or with the highest "
        "accuracy of k-NN on labelled training videos, see docs/training.md",
    )
    best_every: PositiveInt | None = Field(
        None, description="of best_by probe: epochs between measurements; null: a twentieth of the training"
    )
    best_videos: int = Field(
        400, ge=8, description="of best_by probe: number of labelled training videos, at most"
    )
    sync_batch_norm: bool = Field(
        False, description="batch norm over the batches of all processes of a distributed run"
    )

    @property
    def idle(self) -> dict[str, str]:
        """The keys of other schedules, and of other ways to choose the epoch."""
        found = {}
        reason = f"schedule is {self.schedule}"
        if self.schedule != "step":
            found["milestones"] = reason
        if self.schedule == "plateau" and not self.validation_fraction:
            reason = "validation_fraction is 0"
            found["schedule"] = f"{reason}, so the learning rate stays the same"
        if self.schedule != "plateau" or not self.validation_fraction:
            found |= dict.fromkeys(("plateau_factor", "plateau_patience"), reason)
            if self.schedule != "cosine":
                found["minimum_learning_rate"] = reason
        if self.result != "best":
            found["best_by"] = f"result is {self.result}"
        if not self.reads_labels:
            reason = f"result is {self.result}" if self.result != "best" else f"best_by is {self.best_by}"
            found |= dict.fromkeys(("best_every", "best_videos"), reason)
        return found

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
