"""Sections ``extraction.mask`` and ``extraction.pose``, and one per backend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from cocon.backends import BACKENDS
from cocon.config.schema.base import Fraction, PositiveFloat, PositiveInt, Section, ViewExtraction

if TYPE_CHECKING:
    MaskBackend = str
    PoseBackend = str
else:
    MaskBackend = Literal[tuple(BACKENDS["mask"])]
    PoseBackend = Literal[tuple(BACKENDS["pose"])]


class RcnnParameters(Section):
    """Mask R-CNN or Keypoint R-CNN (He et al. 2017)."""

    score: Fraction = Field(
        0.8, description="detections below this score, 0 to 1, are left out; 0.8: Rai et al. 2021"
    )
    persons: PositiveInt = Field(10, description="at most so many persons per frame, the best first")
    frame_short_side: PositiveInt = Field(
        480,
        description="shorter side of the frames that the network sees, px; the published weights expect 800",
    )


class PanopticParameters(RcnnParameters):
    """Panoptic FPN (Kirillov et al. 2019)."""

    confidence: Literal["persons", "things"] = Field(
        "persons",
        description="what a pixel's value is; persons: masks of the instances that are persons, times their "
        "scores; things: the semantic branch's probability of anything countable, persons or not, "
        "whatever the score",
    )


class MovenetParameters(Section):
    """MoveNet MultiPose Lightning (Google 2021)."""

    frame_long_side: int = Field(
        256,
        ge=32,
        le=1280,
        description="longer side of the frames that the network sees, px; more finds smaller persons, slowly",
    )
    score: Fraction = Field(0.2, description="persons below this score, 0 to 1, are left out")
    persons: int = Field(6, ge=1, le=6, description="at most so many persons per frame, the best")


class SelfieParameters(Section):
    """MediaPipe's selfie segmentation, in a square around every person."""

    margin: float = Field(
        1.1,
        ge=1,
        le=4,
        description="side of the square, as a multiple of the longer side of the person's box",
    )
    movenet: MovenetParameters = Field(
        MovenetParameters(),
        description="what finds the persons; with equal settings in pose.movenet the two views share it",
    )


class MaskExtraction(ViewExtraction):
    """Confidence that a pixel shows a person, 1 channel."""

    backend: MaskBackend = Field(
        "selfie", description="the network, see docs/backends.md; each with options has a section of its name"
    )
    short_side: PositiveInt = Field(75, description="stored size of the shorter side, px")
    selfie: SelfieParameters = SelfieParameters()
    torchvision: RcnnParameters = RcnnParameters()
    detectron2: PanopticParameters = PanopticParameters()


class MmposeParameters(Section):
    """RTMPose (Jiang et al. 2023): the keypoints of the persons that a detector has found."""

    model: Literal["rtmpose-t", "rtmpose-s", "rtmpose-m", "rtmpose-l"] = Field(
        "rtmpose-m", description="published network, from tiny to large"
    )
    detector: Literal["rtmdet-m", "rtmdet-tiny", "frame"] = Field(
        "rtmdet-m",
        description="what finds the persons: RTMDet (Lyu et al. 2022); frame: nothing, one person fills it",
    )
    detection_score: Fraction = Field(0.3, description="detections below this score, 0 to 1, are left out")
    persons: PositiveInt = Field(10, description="at most so many persons per frame, the best first")
    score: Fraction = Field(
        0.3, description="persons whose keypoints have a lower mean score, 0 to 1, are left out"
    )


class OneEuroParameters(Section):
    """One-Euro filter (Casiez, Roussel and Vogel 2012): the faster a keypoint, the less it is smoothed."""

    min_cutoff: PositiveFloat = Field(2.0, description="cutoff of a keypoint at rest, Hz; lower: steadier")
    beta: float = Field(
        20.0, ge=0, description="Hz that the cutoff rises by at a speed of one person's size per second"
    )
    speed_cutoff: PositiveFloat = Field(1.0, description="cutoff of the speed itself, Hz")


class PoseExtraction(ViewExtraction):
    """Persons x 17 COCO keypoints; the reader renders them as 17 heatmaps."""

    backend: PoseBackend = Field(
        "movenet",
        description="the network, see docs/backends.md; each with options has a section of its name",
    )
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
        """As for every view; without smoothing the key is left out, as before the option existed."""
        document = super().in_use()
        if self.smoothing == "none":
            del document["smoothing"]
        return document
