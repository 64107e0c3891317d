"""Section ``extraction.flow``, and one per method that computes optical flow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import ConfigDict, Field

from cocon.backends import BACKENDS
from cocon.config.schema.base import PositiveFloat, PositiveInt, Section, ViewExtraction

if TYPE_CHECKING:
    FlowBackend = str
else:
    FlowBackend = Literal[tuple(BACKENDS["flow"])]


class Tvl1Parameters(Section):
    """OpenCV's TV-L1 (Zach, Pock and Bischof 2007), with OpenCV's names and defaults."""

    tau: PositiveFloat = Field(0.25, description="time step of the numerical scheme, without unit")
    lambda_: PositiveFloat = Field(
        0.15, alias="lambda", description="weight of the data term, relative to the total variation"
    )
    theta: PositiveFloat = Field(
        0.3, description="coupling of the flow and its auxiliary copy, without unit; smaller: tighter"
    )
    scales: PositiveInt = Field(5, description="levels of the image pyramid, at most")
    scale_step: float = Field(0.8, gt=0, lt=1, description="size of a level, as a fraction of the finer one")
    warps: PositiveInt = Field(5, description="warpings per level")
    epsilon: PositiveFloat = Field(
        0.01, description="iterations end when the update is below this, px (root mean square)"
    )
    inner_iterations: PositiveInt = Field(30, description="iterations between two median filters, at most")
    outer_iterations: PositiveInt = Field(10, description="rounds of inner iterations per warping, at most")
    median_filter: Literal[1, 3, 5] = Field(
        5, description="width of the median filter of the flow, px; 1: off"
    )

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Tvl1PresetParameters(Section):
    """Our TV-L1 (Zach, Pock and Bischof 2007); null is the value of the preset, see docs/flow.md."""

    preset: Literal["exact", "fast"] = Field(
        "exact", description="exact: a little more accurate than OpenCV's; fast: as accurate, 3 times faster"
    )
    lambda_: float = Field(
        0.15,
        alias="lambda",
        gt=0,
        le=100,
        description="weight of the data term, relative to the total variation",
    )
    theta: float = Field(
        0.3,
        gt=0,
        le=100,
        description="coupling of the flow and its auxiliary copy, without unit; smaller: tighter",
    )
    scales: PositiveInt | None = Field(None, description="levels of the image pyramid, at most")
    scale_step: float | None = Field(
        None, gt=0, lt=1, description="size of a level, as a fraction of the finer one"
    )
    warps: PositiveInt | None = Field(
        None, description="warpings at the finest level, at most; twice as many at coarser ones"
    )
    iterations: PositiveInt | None = Field(
        None, description="iterations per warping; coarser levels have more, by scale_step"
    )
    epsilon: float | None = Field(
        None, ge=0, description="a level ends when a warping changes the flow by less, px (root mean square)"
    )
    median_filter: Literal[1, 3, 5] | None = Field(
        None, description="width of the median filter of the flow, px; 1: off"
    )

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class DisParameters(Section):
    """Dense inverse search (Kroeger et al. 2016)."""

    preset: Literal["ultrafast", "fast", "medium"] = Field(
        "medium", description="OpenCV's preset: medium is the slowest and the most accurate"
    )


class FarnebackParameters(Section):
    """Polynomial expansion (Farneback 2003) by the names that OpenCV gives its parameters."""

    scale_step: float = Field(0.5, gt=0, lt=1, description="size of a level, as a fraction of the finer one")
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
    updates: PositiveInt = Field(12, description="updates (iterations) of the recurrent network")


class FlowExtraction(ViewExtraction):
    """Optical flow from frame i to frame i + 1, 2 channels, 8 bit, zero = 128."""

    backend: FlowBackend = Field(
        "tvl1", description="the method, see docs/backends.md; each has a section of its name"
    )
    short_side: PositiveInt = Field(150, description="stored size of the shorter side, px")
    compute_short_side: int = Field(
        0, ge=0, description="frames are scaled to this before the flow is computed, px; 0: full size"
    )
    bound: PositiveFloat = Field(
        20.0, description="flow is clipped to +-bound px per frame, at stored size; 20: Rai et al. 2021"
    )
    tvl1: Tvl1PresetParameters = Tvl1PresetParameters()
    tvl1_opencv: Tvl1Parameters = Tvl1Parameters()
    dis: DisParameters = DisParameters()
    farneback: FarnebackParameters = FarnebackParameters()
    raft: RaftParameters = RaftParameters()
