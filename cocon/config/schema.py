"""The typed configuration: every key of ``config.yaml``, its type, its default and its meaning.

The same classes validate the file, generate ``workflow/schemas/config.schema.json`` and validate the
``--settings`` of every command. Unknown keys are errors.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from cocon.encoders import ENCODERS, SHAPE, EncoderEntry
from cocon.pretrainings import PRESETS, PRETRAININGS, RANDOM

#: backends that use a GPU where there is one
GPU_BACKENDS = ("tvl1", "raft", "torchvision", "detectron2", "mmpose")
#: backends that use a GPU only with the device cuda: all cores of a machine are often as fast
GPU_ON_REQUEST = ("movenet", "selfie")
#: backends that can live in an environment of their own
BackendName = Literal["tvl1", "raft", "movenet", "selfie", "blazepose", "torchvision", "detectron2", "mmpose"]
ViewName = Literal["rgb", "flow", "mask", "pose"]
#: each has an entry in cocon/encoders.py
EncoderName = Literal["resnet2d3d", "r2plus1d_18", "s3d"]
if TYPE_CHECKING:
    PretrainingName = str
else:
    PretrainingName = Literal[tuple(PRETRAININGS)]
Protocol = Literal[
    "linear",
    "linear_sgd",
    "retrieval",
    "finetune",
    "finetune_dpc",
    "finetune_memdpc",
    "finetune_coclr",
]
#: ways to judge an encoder; those in FRAME_PROTOCOLS train on frames, the others on cached features
PROTOCOLS: tuple[str, ...] = get_args(Protocol)
FRAME_PROTOCOLS: tuple[str, ...] = tuple(name for name in PROTOCOLS if name not in ("linear", "retrieval"))
Fraction = Annotated[float, Field(ge=0, le=1)]
PositiveInt = Annotated[int, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0)]
Range = tuple[PositiveFloat, PositiveFloat]
MAX_FAILED_FRACTION = 0.05
#: of the demo; people with smaller numbers are trained on or tested on
FIRST_VALIDATION_SUBJECT = 501
#: values of pretrain_split that are no split: see _Dataset.pretrained_on
EACH, COMMON, ALL = "each", "common", "all"

_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
_NAME_LENGTH = 40


def _name(value: Any) -> Any:
    if isinstance(value, str) and not (re.fullmatch(_NAME, value) and len(value) <= _NAME_LENGTH):
        raise ValueError(
            f"a name has at most {_NAME_LENGTH} characters, A-Z, a-z, 0-9, '_', '-' and '.', and begins with "
            "a letter or a digit: it becomes a part of file names and targets"
        )
    return value


def _place(value: Any) -> Any:
    if isinstance(value, str | Path) and not re.fullmatch(r"[^-{}<>\x00-\x1f][^{}<>\x00-\x1f]*", str(value)):
        raise ValueError(
            "a folder that Snakemake and its commands write to must not be empty, begin with '-', or have "
            "'{', '}', '<', '>' or control characters in its path"
        )
    return value


def _folds(value: Any) -> Any:
    if value is None or value == "leave_one_group_out":
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("write a number of folds, 2 or more, or leave_one_group_out")
    if value < 2:
        raise ValueError("at least 2 folds are needed: one that is tested, and one to learn from")
    return value


#: of a cross-validation
Folds = Annotated[int | Literal["leave_one_group_out"], BeforeValidator(_folds)]
#: a folder that is part of the paths of rules
Place = Annotated[Path, BeforeValidator(_place)]
#: of a data set, a recipe, an ablation, a protocol or a split
Name = Annotated[str, Field(pattern=_NAME, max_length=_NAME_LENGTH), BeforeValidator(_name)]


def may_use_gpu(backend: str, device: str) -> bool:
    """Whether a backend looks for a GPU with a value of the key ``device``."""
    return (backend in GPU_BACKENDS and device != "cpu") or (backend in GPU_ON_REQUEST and device == "cuda")


class Section(BaseModel):
    """Base of all sections: immutable; an unknown key, a name twice in a list, and NaN are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _no_name_twice(cls, value: Any) -> Any:
        if isinstance(value, tuple):
            for name, count in Counter(item for item in value if isinstance(item, str)).items():
                if count > 1:
                    raise ValueError(f"'{name}' stands there {count} times; once is enough")
        return value


# ------------------------------------------------------------------------------------ extraction


class ViewExtraction(Section):
    """Base of the sections of the views; each backend has a sub-section of its name, if it has options.

    Other methods, which a key chooses by name, have such sub-sections as well.
    """

    @property
    def idle(self) -> set[str]:
        """The sub-sections of backends and other methods that are not used."""
        chosen = {value for _, value in self if isinstance(value, str)}
        return {name for name, value in self if isinstance(value, Section)} - chosen

    def in_use(self) -> dict[str, Any]:
        """The settings as a JSON document, without the sub-sections that are not used."""
        return self.model_dump(mode="json", by_alias=True, exclude=self.idle)


class RgbExtraction(ViewExtraction):
    """Decoded frames."""

    short_side: PositiveInt = Field(150, description="stored size of the shorter side, px")
    codec: Literal["dct", "jpeg"] = Field(
        "dct", description="jpeg: the same pictures in two thirds of the space, read in twice the time"
    )
    jpeg_quality: int = Field(90, ge=1, le=100, description="quality of either, on JPEG's scale")


class Tvl1Parameters(Section):
    """Parameters of TV-L1 (Zach, Pock, Bischof 2007) by the names that OpenCV gives them."""

    tau: PositiveFloat = Field(0.25, description="time step of the numerical scheme")
    lambda_: PositiveFloat = Field(0.15, alias="lambda", description="weight of the data term")
    theta: PositiveFloat = Field(0.3, description="tightness between the flow and its dual")
    scales: PositiveInt = Field(5, description="levels of the image pyramid")
    scale_step: float = Field(0.8, gt=0, lt=1)
    warps: PositiveInt = Field(5, description="warpings per level")
    epsilon: PositiveFloat = Field(0.01, description="stop when the update is below this")
    inner_iterations: PositiveInt = 30
    outer_iterations: PositiveInt = 10
    median_filter: Literal[1, 3, 5] = Field(5, description="median filter of the flow, px; 1: off")

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Tvl1PresetParameters(Section):
    """TV-L1, our own implementation. What is left out, or null, is the preset's, see docs/flow.md."""

    preset: Literal["exact", "fast"] = Field(
        "exact", description="exact: a little more accurate than OpenCV's; fast: as accurate, 3 times faster"
    )
    lambda_: float = Field(0.15, alias="lambda", gt=0, le=100, description="weight of the data term")
    theta: float = Field(0.3, gt=0, le=100, description="tightness between the flow and its auxiliary copy")
    scales: PositiveInt | None = Field(None, description="levels of the image pyramid, at most")
    scale_step: float | None = Field(None, gt=0, lt=1, description="size of a level to the finer one")
    warps: PositiveInt | None = Field(
        None, description="warpings at the finest level, at most; twice as many at coarser ones"
    )
    iterations: PositiveInt | None = Field(
        None, description="iterations per warping; coarser levels have more, by scale_step"
    )
    epsilon: float | None = Field(
        None, ge=0, description="a level ends when a warping changes the flow by less, px (root mean square)"
    )
    median_filter: Literal[1, 3, 5] | None = Field(None, description="median filter of the flow, px; 1: off")

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class DisParameters(Section):
    """Dense inverse search (Kroeger et al. 2016)."""

    preset: Literal["ultrafast", "fast", "medium"] = Field("medium", description="OpenCV's preset")


class FarnebackParameters(Section):
    """Polynomial expansion (Farneback 2003) by the names that OpenCV gives its parameters."""

    scale_step: float = Field(0.5, gt=0, lt=1, description="size of a level relative to the one below")
    levels: PositiveInt = Field(3, description="levels of the image pyramid")
    window: PositiveInt = Field(15, description="width of the averaging window, px")
    iterations: PositiveInt = Field(3, description="iterations per level")
    neighbourhood: Literal[5, 7] = Field(5, description="width of the polynomial's neighbourhood, px")
    sigma: PositiveFloat = Field(1.2, description="width of the Gaussian of the polynomial, px")


class RaftParameters(Section):
    """RAFT (Teed and Deng 2020) through torchvision, with its published weights."""

    model: Literal["large", "small"] = Field(
        "large", description="small: four times faster on a CPU, errors on Sintel a third larger"
    )
    updates: PositiveInt = Field(12, description="updates of the recurrent network")


class FlowExtraction(ViewExtraction):
    """Optical flow from frame i to frame i + 1, 2 channels, 8 bit, zero = 128."""

    backend: Literal["tvl1", "tvl1_opencv", "dis", "farneback", "raft"] = "tvl1"
    short_side: PositiveInt = Field(150, description="stored size of the shorter side, px")
    compute_short_side: int = Field(
        0, ge=0, description="frames are scaled to this before the flow is computed, px; 0: full size"
    )
    bound: PositiveFloat = Field(20.0, description="flow is clipped to +-bound px at stored size")
    tvl1: Tvl1PresetParameters = Tvl1PresetParameters()
    tvl1_opencv: Tvl1Parameters = Tvl1Parameters()
    dis: DisParameters = DisParameters()
    farneback: FarnebackParameters = FarnebackParameters()
    raft: RaftParameters = RaftParameters()


class RcnnParameters(Section):
    """Mask R-CNN or Keypoint R-CNN (He et al. 2017)."""

    score: Fraction = Field(0.8, description="detections below this score are left out")
    persons: PositiveInt = Field(10, description="at most so many persons per frame, the best first")
    frame_short_side: PositiveInt = Field(
        480, description="frames are scaled to this for the network, px; the published weights expect 800"
    )


class PanopticParameters(RcnnParameters):
    """Panoptic FPN (Kirillov et al. 2019)."""

    confidence: Literal["persons", "things"] = Field(
        "persons",
        description="persons: masks of the instances that are persons, times their scores; things: the "
        "semantic branch's probability of anything countable, persons or not, without regard to score",
    )


class MovenetParameters(Section):
    """MoveNet MultiPose Lightning (Google 2021)."""

    frame_long_side: int = Field(
        256,
        ge=32,
        le=1280,
        description="frames are scaled to this for the network, px; more finds smaller persons, slowly",
    )
    score: Fraction = Field(0.2, description="persons below this score are left out")
    persons: int = Field(6, ge=1, le=6, description="at most so many persons per frame, the best")


class SelfieParameters(Section):
    """MediaPipe's selfie segmentation, in a square around every person."""

    margin: float = Field(
        1.1, ge=1, le=4, description="side of the square to the longer side of the person's box"
    )
    movenet: MovenetParameters = Field(
        MovenetParameters(),
        description="what finds the persons; with equal settings in pose.movenet the two views share it",
    )


class MaskExtraction(ViewExtraction):
    """Confidence that a pixel shows a person, 1 channel."""

    backend: Literal["selfie", "blazepose", "torchvision", "detectron2"] = "selfie"
    short_side: PositiveInt = Field(75, description="stored size of the shorter side, px")
    selfie: SelfieParameters = SelfieParameters()
    torchvision: RcnnParameters = RcnnParameters()
    detectron2: PanopticParameters = PanopticParameters()


class MmposeParameters(Section):
    """RTMPose (Jiang et al. 2023): it reads the keypoints of persons whom a detector has found."""

    model: Literal["rtmpose-t", "rtmpose-s", "rtmpose-m", "rtmpose-l"] = "rtmpose-m"
    detector: Literal["rtmdet-m", "rtmdet-tiny", "frame"] = Field(
        "rtmdet-m",
        description="RTMDet (Lyu et al. 2022); frame: no detector, one person who fills the frame",
    )
    detection_score: Fraction = Field(0.3, description="detections below this score are left out")
    persons: PositiveInt = Field(10, description="at most so many persons per frame, the best first")
    score: Fraction = Field(0.3, description="persons whose keypoints have a lower mean score are left out")


class OneEuroParameters(Section):
    """One-Euro filter (Casiez, Roussel and Vogel 2012): the faster a keypoint, the less it is smoothed."""

    min_cutoff: PositiveFloat = Field(2.0, description="cutoff of a keypoint at rest, Hz; lower: steadier")
    beta: float = Field(
        20.0, ge=0, description="Hz that the cutoff rises by at a speed of one person's size per second"
    )
    speed_cutoff: PositiveFloat = Field(1.0, description="cutoff of the speed itself, Hz")


class PoseExtraction(ViewExtraction):
    """Persons x 17 COCO keypoints; the reader renders them as 17 heatmaps."""

    backend: Literal["movenet", "blazepose", "torchvision", "detectron2", "mmpose"] = "movenet"
    short_side: PositiveInt = Field(75, description="size of the heatmaps' shorter side, px")
    sigma: PositiveFloat = Field(1.5, description="width of a keypoint's Gaussian, px of the heatmap")
    smoothing: Literal["none", "one_euro"] = Field(
        "none", description="one_euro: keypoints are filtered along time, see docs/backends.md"
    )
    movenet: MovenetParameters = MovenetParameters()
    torchvision: RcnnParameters = RcnnParameters()
    detectron2: RcnnParameters = RcnnParameters()
    mmpose: MmposeParameters = MmposeParameters()
    one_euro: OneEuroParameters = OneEuroParameters()

    def in_use(self) -> dict[str, Any]:
        """As for every view; what is not smoothed does not say so, as before there was a choice."""
        document = super().in_use()
        if self.smoothing == "none":
            del document["smoothing"]
        return document


class Extraction(Section):
    """One sub-section per view, and what happens when videos fail."""

    rgb: RgbExtraction = RgbExtraction()
    flow: FlowExtraction = FlowExtraction()
    mask: MaskExtraction = MaskExtraction()
    pose: PoseExtraction = PoseExtraction()
    max_failed_fraction: Fraction = Field(
        MAX_FAILED_FRACTION, description="see jobs.extract, where it belongs"
    )


# -------------------------------------------------------------------------------------- learning


class Clip(Section):
    """What the network sees of a video: N blocks of K frames."""

    blocks: PositiveInt = Field(8, description="N, blocks per clip")
    frames_per_block: PositiveInt = Field(5, description="K, frames per block")
    stride: PositiveInt = Field(3, description="every stride-th frame of the video is used")
    predicted_blocks: PositiveInt = Field(3, description="the last blocks, predicted from the others")
    crop: dict[ViewName, PositiveInt] = Field(
        {"rgb": 128, "flow": 128, "mask": 64, "pose": 64}, description="network input, px, per view"
    )

    @model_validator(mode="after")
    def _context_remains(self) -> Clip:
        if self.predicted_blocks >= self.blocks:
            raise ValueError("predicted_blocks must be smaller than blocks, or no context remains")
        return self

    @property
    def frames(self) -> int:
        """Frames per clip, N * K."""
        return self.blocks * self.frames_per_block


Layers = tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt]


class NetworkOfView(Section):
    """What the network of one view has instead; D is common to all views, since L_sim compares them."""

    encoder: EncoderName | None = None
    layers: Layers | None = None
    width: PositiveInt | None = None


class Network(Section):
    """An encoder, a one-layer ConvGRU and a predictor."""

    encoder: EncoderName = Field(
        "resnet2d3d",
        description="resnet2d3d: 2D3D-ResNet (Han et al. 2019), the paper's; r2plus1d_18: R(2+1)D-18 (Tran "
        "et al. 2018); s3d: S3D (Xie et al. 2018); see docs/method.md",
    )
    layers: Layers = Field(
        (2, 2, 2, 2),
        description="residual blocks per stage: 2 2 2 2 is ResNet-18, 3 4 6 3 ResNet-34; of resnet2d3d only",
    )
    width: PositiveInt = Field(
        64, description="channels of the stem; those of all stages but the last are in proportion"
    )
    features: PositiveInt = Field(256, description="D, channels of the last stage")
    dropout: Fraction = Field(0.1, description="dropout on the state of the ConvGRU")
    views: dict[ViewName, NetworkOfView] = Field(
        {}, description="encoder, layers and width of single views, where they differ"
    )

    @model_validator(mode="after")
    def _encoders_read_it(self) -> Network:
        given: dict[str, tuple[EncoderName, Collection[str]]] = {"": (self.encoder, self.model_fields_set)}
        for view, own in self.views.items():
            given[f"views.{view}."] = (own.encoder or self.encoder, own.model_dump(exclude_none=True).keys())
        for where, (encoder, keys) in given.items():
            entry = ENCODERS[encoder]
            for key in SHAPE:
                if key in keys and key not in entry.reads:
                    able = " or ".join(name for name, other in ENCODERS.items() if key in other.reads)
                    raise ValueError(
                        f"the encoder {encoder} does not read '{where}{key}'; leave it out, or choose {able}"
                    )
            if self.features < (least := entry.least_features):
                raise ValueError(f"the encoder {encoder} needs {least} features or more, not {self.features}")
        return self

    @model_serializer(mode="wrap")
    def _what_is_read(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without the keys that the encoder does not read."""
        document: dict[str, Any] = handler(self)
        return {key: value for key, value in document.items() if key not in SHAPE or key in self.entry.reads}

    @property
    def entry(self) -> EncoderEntry:
        """What is known about its encoder."""
        return ENCODERS[self.encoder]

    @property
    def title(self) -> str:
        """The encoder's name in reports, with its depth, for instance "2D3D-ResNet-18"."""
        return self.entry.titled(self.layers)

    def of(self, view: str) -> Network:
        """The network of one view, by itself; what its encoder does not read has its default."""
        own: dict[str, Any] = {}
        for name, changes in self.views.items():
            if name == view:
                own = changes.model_dump(exclude_none=True)
        read = ENCODERS[own.get("encoder", self.encoder)].reads
        settings = {**dict(self), **own, "views": {}}
        return Network(**{key: value for key, value in settings.items() if key not in SHAPE or key in read})


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


class Stage(Section):
    """One stage of the schedule."""

    epochs: PositiveInt
    batch_size: PositiveInt = Field(16, description="clips per process and batch")
    accumulate: PositiveInt = Field(
        1, description="batches whose mean gradient makes one step; each is contrasted within itself only"
    )
    learning_rate: PositiveFloat = 1e-3


class FirstStage(Stage):
    """Every view alone."""

    epochs: PositiveInt = 100


class SecondStage(Stage):
    """All views together."""

    epochs: PositiveInt = 60


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
        "last", description="the encoders of the last epoch, or of the one with the lowest validation loss"
    )
    sync_batch_norm: bool = Field(
        False, description="batch norm over the batches of all processes of a distributed run"
    )

    def scales_all_crops_of(self, view: str) -> bool:
        """Whether pretraining scales every crop of a view, so that a crop may be larger than the frames."""
        return view in self.augmentation.resized_crop and not self.validation_fraction

    @model_validator(mode="after")
    def _best_of_what(self) -> Pretraining:
        if self.result == "best" and self.validation_fraction == 0:
            raise ValueError("result 'best' needs a validation loss: validation_fraction must not be 0")
        return self


# ------------------------------------------------------------------------------------ evaluation


class Linear(Section):
    """Logistic regression on cached features of the frozen encoder."""

    inverse_regularisation: PositiveFloat = Field(0.1, description="C of logistic regression")
    max_iterations: PositiveInt = 2000


class Retrieval(Section):
    """Nearest neighbours by cosine; gallery: training videos, queries: test videos."""

    ranks: tuple[PositiveInt, ...] = Field((1, 5, 10, 20, 50), description="k of the reported R@k")


class Relations(Section):
    """Do the views agree on which classes are alike? See cocon/evaluation/relations.py."""

    neighbours: PositiveInt = Field(5, description="nearest classes that are compared per class")
    shared: PositiveInt = Field(4, description="a class agrees if so many of them are the same in all views")

    @model_validator(mode="after")
    def _can_be_shared(self) -> Relations:
        if self.shared > self.neighbours:
            raise ValueError("shared must not be larger than neighbours")
        return self


class Finetune(Training):
    """The encoder and the aggregator trained further with labels: CoCon's protocol."""

    epochs: PositiveInt = 100
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

    epochs: PositiveInt = 300
    weight_decay: float = Field(1e-3, ge=0)
    milestones: tuple[Fraction, ...] = (60 / 300, 80 / 300, 100 / 300)
    dropout: Fraction = 0.5


class FinetuneMemdpc(Finetune):
    """Fine-tuning as in MemDPC (Han et al. 2020); epochs and milestones for UCF101."""

    epochs: PositiveInt = 500
    weight_decay: float = Field(1e-3, ge=0)
    milestones: tuple[Fraction, ...] = (0.6, 0.8)
    dropout: Fraction = 0.9
    test_crops: Literal[1, 10] = 10


class FinetuneCoclr(Finetune):
    """Fine-tuning as in CoCLR (Han et al. 2020): the backbone learns ten times more slowly."""

    epochs: PositiveInt = 500
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


class OwnLinear(Linear):
    """Your own variant of `linear`."""

    like: Literal["linear"]


class OwnLinearSgd(LinearSgd):
    """Your own variant of `linear_sgd`."""

    like: Literal["linear_sgd"]


class OwnRetrieval(Retrieval):
    """Your own variant of `retrieval`."""

    like: Literal["retrieval"]


class OwnFinetune(Finetune):
    """Your own variant of `finetune`."""

    like: Literal["finetune"]


class OwnFinetuneDpc(FinetuneDpc):
    """Your own variant of `finetune_dpc`."""

    like: Literal["finetune_dpc"]


class OwnFinetuneMemdpc(FinetuneMemdpc):
    """Your own variant of `finetune_memdpc`."""

    like: Literal["finetune_memdpc"]


class OwnFinetuneCoclr(FinetuneCoclr):
    """Your own variant of `finetune_coclr`."""

    like: Literal["finetune_coclr"]


OwnProtocol = Annotated[
    OwnLinear
    | OwnLinearSgd
    | OwnRetrieval
    | OwnFinetune
    | OwnFinetuneDpc
    | OwnFinetuneMemdpc
    | OwnFinetuneCoclr,
    Field(discriminator="like"),
]


class Evaluation(Section):
    """Which encoders are judged, how, and with what weights the views are fused."""

    pretrainings: tuple[PretrainingName, ...] = ("random", "stage1", "cocon")
    protocols: tuple[str, ...] = Field(
        ("linear", "retrieval", "finetune"),
        description="any of linear, linear_sgd, retrieval, finetune, finetune_dpc, finetune_memdpc, "
        "finetune_coclr, and the names under own",
    )
    finetune_pretrainings: tuple[PretrainingName, ...] = Field(
        ("random", "cocon"),
        description="fine-tuning and linear_sgd are dear: only these encoders are judged by them",
    )
    linear: Linear = Linear()
    linear_sgd: LinearSgd = LinearSgd()
    retrieval: Retrieval = Retrieval()
    finetune: Finetune = Finetune()
    finetune_dpc: FinetuneDpc = FinetuneDpc()
    finetune_memdpc: FinetuneMemdpc = FinetuneMemdpc()
    finetune_coclr: FinetuneCoclr = FinetuneCoclr()
    own: dict[Name, OwnProtocol] = Field(
        {},
        description="your own protocols by name: `like` one of the above, and what differs from its defaults",
    )
    relations: Relations = Relations()
    ensemble: dict[ViewName, PositiveFloat] = Field(
        {"rgb": 2.0, "flow": 2.0, "mask": 1.0, "pose": 1.0}, description="weights of the late fusion"
    )
    bootstrap: PositiveInt = Field(1000, description="resamples for the 95 % interval")

    @model_validator(mode="after")
    def _protocols_exist(self) -> Evaluation:
        taken = sorted(set(self.own) & set(PROTOCOLS))
        if taken:
            raise ValueError(f"own.{taken[0]}: '{taken[0]}' is a protocol already; choose another name")
        known = [*PROTOCOLS, *self.own]
        for name in self.protocols:
            if name not in known:
                raise ValueError(f"protocols: there is no '{name}' (there are: {', '.join(known)})")
        return self

    def kind(self, protocol: str) -> str:
        """The built-in protocol that a protocol is, or is like."""
        return self.own[protocol].like if protocol in self.own else protocol

    def judged_by(self, protocol: str) -> tuple[PretrainingName, ...]:
        """The encoders that a protocol judges."""
        on_frames = self.kind(protocol) in FRAME_PROTOCOLS
        return self.finetune_pretrainings if on_frames else self.pretrainings

    def section(self, protocol: str) -> Section:
        """A protocol's settings: Linear, Retrieval or Finetune, or what is derived from them."""
        section: Section = self.own[protocol] if protocol in self.own else getattr(self, protocol)
        return section


# ------------------------------------------------------------------------------------- data sets


class _Dataset(Section):
    recipe: str = Field(description="the recipe (see recipes:) that this data set is processed with")
    shards: PositiveInt = Field(
        description="HDF5 files per view; aim at 100-300 videos each, 600 beyond 100,000"
    )
    splits: tuple[Name, ...] = Field(("1",), min_length=1, description="official splits to evaluate on")
    views: tuple[ViewName, ...] = Field((), description="those of this data set, where not all; empty: all")
    shards_of: str = Field(
        "", description="data set of the same videos whose shards are used; empty: its own"
    )
    pretrain_on: str = Field("", description="data set whose encoders are evaluated; empty: this one")
    evaluate_on: Literal["test", "validation"] = Field(
        "test",
        description="validation: the validation videos of every split are tested, its test videos are not; "
        "settings are chosen so",
    )
    pretrain_split: str = Field(
        "1",
        description="the split whose training videos are pretrained on; each: encoders of its own for every "
        "split; common: videos that train in every split; all: all videos",
    )
    track_videos: bool = Field(
        True,
        description="extract again when the size or the time of a video file changes; false plans faster "
        "beyond 20,000 videos",
    )
    card_accuracies: bool = Field(
        False, description="export_<name> evaluates the encoders first, and the model card has the accuracies"
    )

    @property
    def first_split(self) -> str:
        """The split that the details of a report are about."""
        return self.splits[0] if self.splits else "1"

    def pretrained_on(self, split: str) -> str:
        """What the encoders that a split evaluates are pretrained on: a split, ``common`` or ``all``."""
        return split if self.pretrain_split == EACH else self.pretrain_split


class DemoDataset(_Dataset):
    """Rendered human actions: made on the spot, nothing to download."""

    kind: Literal["demo"]
    root: Place = Field(Path("data/demo"), description="where the videos and their truth are rendered to")
    train_subjects: PositiveInt = Field(8, description="people in the training split")
    test_subjects: PositiveInt = Field(4, description="other people, in the test split")
    validation_subjects: int = Field(
        0, ge=0, le=500, description="again other people, to choose settings with; rendered beside the others"
    )
    takes: PositiveInt = Field(2, description="clips per person and action")
    frames: PositiveInt = Field(48, description="frames per clip, at 16 frames/s")
    size: PositiveInt = Field(160, description="px, width and height")
    seed: int = 0
    truth_flow_every: PositiveInt = Field(6, description="the true flow is kept for every n-th frame")
    compare_backends: bool = Field(
        False, description="the report compares every installed backend with the truth, as score_<name> does"
    )

    @model_validator(mode="after")
    def _numbers_are_free(self) -> DemoDataset:
        if self.train_subjects + self.test_subjects > FIRST_VALIDATION_SUBJECT - 1:
            raise ValueError(
                f"train_subjects and test_subjects are at most {FIRST_VALIDATION_SUBJECT - 1} together: "
                "higher numbers belong to the validation people"
            )
        return self

    def rendered_as(self) -> dict[str, Any]:
        """The keys that say which videos there are and what they show."""
        return self.model_dump(include=set(DemoDataset.__annotations__) - {"kind", "compare_backends"})


class _PublicDataset(_Dataset):
    archives: Path | None = Field(
        None, description="where get_<name> puts its archives, or finds yours; null: beside the videos"
    )
    from_archives: tuple[Path, ...] = Field(
        (), description="archives or folders that get_<name> takes as they are, instead of downloading"
    )


class Ucf101Dataset(_PublicDataset):
    """UCF101 in ``videos/<Class>/v_<Class>_gXX_cYY.avi`` and its official split lists."""

    kind: Literal["ucf101"]
    videos: Path
    lists: Path = Field(description="folder with classInd.txt, trainlist01.txt, testlist01.txt, ...")


class Hmdb51Dataset(_PublicDataset):
    """HMDB51 in ``videos/<class>/<name>.avi`` and its official split lists."""

    kind: Literal["hmdb51"]
    videos: Path
    lists: Path = Field(description="folder with <class>_test_split1.txt, ...")


class Kinetics400Dataset(_PublicDataset):
    """Kinetics-400 in ``videos/<split>/<label>/<id>_<start>_<end>.mp4`` and its csv lists."""

    kind: Literal["kinetics400"]
    videos: Path
    lists: Path = Field(description="folder with train.csv and val.csv (test.csv if it has labels)")


class FolderDataset(_Dataset):
    """Your own videos: a folder and a CSV table with the columns video, label, split (or split_1, ...)."""

    kind: Literal["folder"]
    videos: Path
    table: Path
    splits: tuple[Name, ...] = Field((), description="those to evaluate on; empty: all of the table")
    pretrain_split: str = Field(
        EACH,
        description="each: every split has encoders of its own, of its training videos; or one pretraining "
        "for all splits: common (videos that train in every split), all, or the name of a split",
    )
    folds: Folds | None = Field(
        None,
        description="cross-validation instead of the column split: a number of folds, or leave_one_group_out",
    )


Dataset = Annotated[
    DemoDataset | Ucf101Dataset | Hmdb51Dataset | Kinetics400Dataset | FolderDataset,
    Field(discriminator="kind"),
]


# --------------------------------------------------------------------------------------- the file


class Recipe(Section):
    """Everything with a number in it that turns videos into accuracies."""

    extraction: Extraction = Extraction()
    clip: Clip = Clip()
    network: Network = Network()
    pretraining: Pretraining = Pretraining()
    evaluation: Evaluation = Evaluation()


class Ablation(Section):
    """What the terms of the loss are worth: several pretrainings by one budget, over several seeds."""

    dataset: str = Field(description="data set, with its recipe")
    pretrainings: tuple[PretrainingName, ...] = (RANDOM, *PRESETS)
    seeds: PositiveInt = Field(3, description="repetitions, with the seeds seed, seed + 1, ...")
    protocols: tuple[Protocol, ...] = ("linear", "retrieval")
    splits: tuple[Name, ...] = Field((), description="of the data set; empty: all that it is evaluated on")


class Job(Section):
    """What one job of a stage asks for."""

    threads: PositiveInt = 1
    memory_mb: PositiveInt = 4000
    runtime_minutes: PositiveInt = Field(240, description="time limit where a scheduler wants one")


class ExtractionJob(Job):
    """What extracting one shard asks for."""

    max_failed_fraction: Fraction = Field(
        MAX_FAILED_FRACTION,
        description="a shard fails when more than this fraction of its videos cannot be read",
    )


class PretrainingJob(Job, Running, Probing):
    """What pretraining asks for; threads and memory are those of a node, for all its processes."""

    runtime_minutes: PositiveInt = Field(2880, description="time limit where a scheduler wants one")
    nodes: PositiveInt = Field(1, description="machines of a cluster that train together")
    gpus: PositiveInt = Field(
        1, description="processes on each of them, each with a GPU; without GPUs they compute on the CPU"
    )

    @property
    def processes(self) -> int:
        """Processes on all nodes together; every one has batches of its own, so the result depends on it."""
        return self.nodes * self.gpus


class TogetherJob(PretrainingJob):
    """What pretraining all views together asks for."""

    threads: PositiveInt = 2
    memory_mb: PositiveInt = 8000


class RenderingJob(Job):
    """What rendering the demo asks for."""

    threads: PositiveInt = 2


class FeaturesJob(Job):
    """What computing features asks for."""

    workers: int = Field(0, ge=0, description="processes that decode; 0: in the computing process")
    batch_size: PositiveInt = Field(16, description="windows per forward pass")


class FinetuningJob(Job, Running):
    """What fine-tuning asks for."""

    runtime_minutes: PositiveInt = Field(2880, description="time limit where a scheduler wants one")


class Jobs(Section):
    """How the stages run: threads, memory, time, and all else that does not change a result."""

    render: RenderingJob = RenderingJob()
    extract: ExtractionJob = ExtractionJob()
    pretrain_stage1: PretrainingJob = PretrainingJob()
    pretrain_stage2: TogetherJob = TogetherJob()
    features: FeaturesJob = FeaturesJob()
    finetune: FinetuningJob = FinetuningJob()


class Config(Section):
    """The whole of ``config.yaml``."""

    results: Place = Field(Path("results"), description="folder for everything that is computed")
    shard_storage: str = Field(
        "",
        pattern=r"^(s3://[^/{}]+(/[^/{}]+)*)?$",
        description="s3://bucket/folder for the shards; empty: among the results. See docs/storage.md",
    )
    seed: int = Field(0, description="seed of initialisation, sampling and augmentation")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="where networks run; auto: on a GPU if the machine has one"
    )
    views: tuple[ViewName, ...] = Field(("rgb", "flow", "mask", "pose"), min_length=1)
    interpreters: dict[BackendName, Path] = Field(
        {}, description="Python of the environment that a backend is installed in; default: this one"
    )
    jobs: Jobs = Jobs()
    datasets: dict[Name, Dataset]
    recipes: dict[Name, Recipe]
    ablations: dict[Name, Ablation] = {}
    paper: tuple[str, ...] = Field((), description="data sets that fill the paper's table of results")

    @model_validator(mode="after")
    def _recipes_exist(self) -> Config:
        for name, dataset in self.datasets.items():
            if dataset.recipe not in self.recipes:
                known = ", ".join(sorted(self.recipes))
                raise ValueError(f"datasets.{name}.recipe: no recipe '{dataset.recipe}' (there are: {known})")
            if dataset.pretrain_on and dataset.pretrain_on not in self.datasets:
                raise ValueError(f"datasets.{name}.pretrain_on: no data set '{dataset.pretrain_on}'")
            if dataset.shards_of:
                self._check_shards_of(name, dataset)
        for name in self.paper:
            if name not in self.datasets:
                raise ValueError(f"paper: no data set '{name}'")
        for name, ablation in self.ablations.items():
            if ablation.dataset not in self.datasets:
                raise ValueError(f"ablations.{name}.dataset: no data set '{ablation.dataset}'")
        return self

    def _check_shards_of(self, name: str, dataset: Dataset) -> None:
        owner = self.datasets.get(dataset.shards_of)
        key = f"datasets.{name}.shards_of"
        if owner is None:
            raise ValueError(f"{key}: no data set '{dataset.shards_of}'")
        if owner.shards_of or owner.kind != dataset.kind:
            raise ValueError(
                f"{key}: '{dataset.shards_of}' must be of the kind {dataset.kind}, with its own shards"
            )
        if isinstance(owner, DemoDataset) and isinstance(dataset, DemoDataset):
            mine, others = dataset.rendered_as(), owner.rendered_as()
            if different := [name for name in mine if mine[name] != others[name]]:
                raise ValueError(f"{key}: '{dataset.shards_of}' has another {different[0]}, so other videos")
        lacking = set(self.views_of(name)) - set(self.views_of(dataset.shards_of))
        if lacking:
            raise ValueError(f"{key}: '{dataset.shards_of}' lacks the view {min(lacking)}")

    def views_of(self, dataset: str) -> list[str]:
        """The views of a data set: its own, as far as they are among all views; all if none is."""
        own = self.datasets[dataset].views
        return [view for view in self.views if view in own] or list(self.views)

    def recipe_of(self, dataset: str) -> Recipe:
        """The recipe that a data set is processed with."""
        return self.recipes[self.datasets[dataset].recipe]

    def owner_of_shards(self, dataset: str) -> str:
        """The data set whose shards a data set reads: another one of the same videos, or itself."""
        return self.datasets[dataset].shards_of or dataset

    def trained_on(self, dataset: str) -> str:
        """The data set whose encoders are evaluated on a data set: another one, or itself."""
        return self.datasets[dataset].pretrain_on or dataset

    @model_validator(mode="after")
    def _batches_hold_whole_videos(self) -> Config:
        asked = [
            (self.datasets[ablation.dataset].recipe, name)
            for ablation in self.ablations.values()
            if "pretrainings" in ablation.model_fields_set  # not what a later version has added to all
            for name in ablation.pretrainings
        ]
        for recipe, settings in self.recipes.items():
            evaluation = settings.evaluation
            asked += [
                (recipe, name) for protocol in evaluation.protocols for name in evaluation.judged_by(protocol)
            ]
        for recipe, name in asked:
            batch, clips = self.recipes[recipe].pretraining.stage2.batch_size, PRETRAININGS[name].clips
            if batch % clips:
                raise ValueError(
                    f"recipes.{recipe}.pretraining.stage2.batch_size: {name} compares {clips} clips of each "
                    f"video, which do not fill a batch of {batch}"
                )
        return self

    @model_validator(mode="after")
    def _views_are_pretrained(self) -> Config:
        for name, dataset in self.datasets.items():
            source = dataset.pretrain_on or name
            lacking = set(self.views_of(name)) - set(self.views_of(source))
            if lacking:
                raise ValueError(f"datasets.{name}: its view {min(lacking)} is not pretrained on '{source}'")
        return self

    @model_validator(mode="after")
    def _names_are_free(self) -> Config:
        for name in self.datasets:
            if name in ("stage1", "persons") or name.startswith("stage2"):
                raise ValueError(f"datasets.{name}: a step of the workflow has this name; choose another one")
        return self

    @model_validator(mode="after")
    def _crops_fit(self) -> Config:
        sources = {dataset.pretrain_on for dataset in self.datasets.values()}
        for name, dataset in self.datasets.items():
            extraction = self.recipes[self._owner(name).recipe].extraction
            recipe = self.recipes[dataset.recipe]
            for view in self.views_of(name):
                key = f"recipes.{dataset.recipe}.clip.crop.{view}"
                crop = {str(known): size for known, size in recipe.clip.crop.items()}.get(view)
                stored = getattr(extraction, view).short_side
                if crop is None:
                    raise ValueError(f"{key} is missing: the data set {name} has this view")
                scaled = name in sources and recipe.pretraining.scales_all_crops_of(view)
                if crop > stored and not scaled:
                    raise ValueError(
                        f"{key}: {crop} px do not fit into the frames of {name}, whose shorter side has "
                        f"{stored} px (recipes.{self._owner(name).recipe}.extraction.{view}.short_side)"
                    )
        return self

    @model_validator(mode="after")
    def _all_views_have_weights(self) -> Config:
        for name, dataset in self.datasets.items():
            views = self.views_of(name)
            lacking = set(views) - set(self.recipes[dataset.recipe].evaluation.ensemble)
            if lacking and len(views) > 1:
                raise ValueError(
                    f"recipes.{dataset.recipe}.evaluation.ensemble has no weight for the view {min(lacking)} "
                    f"of the data set {name}"
                )
        return self

    def _owner(self, dataset: str) -> Dataset:
        """The data set whose shards a data set uses."""
        return self.datasets[self.datasets[dataset].shards_of or dataset]

    @model_validator(mode="after")
    def _own_protocols_agree(self) -> Config:
        kinds: dict[str, str] = {}
        for name, recipe in self.recipes.items():
            for protocol, own in recipe.evaluation.own.items():
                if kinds.setdefault(protocol, own.like) != own.like:
                    raise ValueError(
                        f"recipes.{name}.evaluation.own.{protocol} is like {own.like}, that of another "
                        f"recipe like {kinds[protocol]}; give them different names"
                    )
        return self
