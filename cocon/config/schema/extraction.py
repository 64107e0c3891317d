"""Section ``extraction`` of a recipe: a sub-section per view."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from cocon.backends import BACKENDS
from cocon.config.schema.base import Fraction, PositiveInt, Section, ViewExtraction
from cocon.config.schema.flow import FlowExtraction
from cocon.config.schema.persons import MaskExtraction, PoseExtraction

#: backends that can live in an environment of their own: those that need more than OpenCV
_OWN = tuple(
    dict.fromkeys(
        entry.name
        for backends in BACKENDS.values()
        for entry in backends.values()
        if entry.package or entry.gpu != "never"
    )
)
MAX_FAILED_FRACTION = 0.05

if TYPE_CHECKING:
    BackendName = str
else:
    BackendName = Literal[_OWN]


class RgbExtraction(ViewExtraction):
    """Decoded frames."""

    short_side: PositiveInt = Field(150, description="stored size of the shorter side, px")
    codec: Literal["dct", "jpeg"] = Field(
        "jpeg",
        description="coding of stored frames; dct: the same pictures, read in 0.4 of the time, in 1.45 times "
        "the space, and by this program only",
    )
    jpeg_quality: int = Field(
        90, ge=1, le=100, description="quality of either codec, 1 to 100 on JPEG's scale"
    )


class Extraction(Section):
    """How the views are made from videos; one sub-section per view."""

    moved: ClassVar[frozenset[str]] = frozenset({"max_failed_fraction"})

    rgb: RgbExtraction = RgbExtraction()
    flow: FlowExtraction = FlowExtraction()
    mask: MaskExtraction = MaskExtraction()
    pose: PoseExtraction = PoseExtraction()
    max_failed_fraction: Fraction = Field(
        MAX_FAILED_FRACTION,
        description="fraction of a shard's videos; now under jobs.extract, which counts if both are given",
    )
