"""The parameters of TV-L1, and presets for them."""

from __future__ import annotations

from dataclasses import dataclass

from cocon.config.schema import Tvl1PresetParameters

#: time step of the dual; the method diverges above (see Chambolle 2004 for the proof of half of it)
TAU = 0.25
#: px; no level of the pyramid is smaller
_LEAST_SIDE = 16


@dataclass(frozen=True)
class Scheme:
    """The parameters of TV-L1, the same for both implementations.

    Attributes:
        lambda_: weight of the data term.
        theta: tightness between the flow and its auxiliary copy.
        scales: levels of the pyramid, at most.
        scale_step: size of a level relative to the finer one.
        warps: times that the second picture is warped at the finest level, at most.
        iterations: per warp, at the finest level.
        epsilon: px; a level ends after a warp that changed the flow by less, root mean square.
        median_filter: width of the filter before each warp, px; 1: none.
    """

    lambda_: float
    theta: float
    scales: int
    scale_step: float
    warps: int
    iterations: int
    epsilon: float
    median_filter: int

    @property
    def rate(self) -> float:
        """Step of the dual, tau / theta."""
        return TAU / self.theta

    def iterations_at(self, level: int) -> int:
        """Iterations per warp; the smaller pictures of coarser levels have more, at little cost."""
        return round(self.iterations / self.scale_step**level)

    def warps_at(self, level: int) -> int:
        """Warps, at most; only where the flow is still far off do coarser levels use all of them."""
        return self.warps if level == 0 else 2 * self.warps

    def sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        """Sizes (h, w) of the pyramid's levels, the finest first."""
        sizes = [(height, width)]
        for level in range(1, self.scales):
            factor = self.scale_step**level
            size = (round(height * factor), round(width * factor))
            if min(size) < _LEAST_SIDE:
                break
            sizes.append(size)
        return sizes


_PRESETS = {
    "exact": {
        "scales": 5, "scale_step": 0.8, "warps": 5, "iterations": 20, "epsilon": 0.05, "median_filter": 3,
    },
    "fast": {
        "scales": 4, "scale_step": 0.65, "warps": 4, "iterations": 15, "epsilon": 0.05, "median_filter": 3,
    },
}  # fmt: skip


def scheme_of(options: Tvl1PresetParameters) -> Scheme:
    """The preset's parameters, overridden by the options."""
    given = options.model_dump(exclude={"preset"}, exclude_none=True)
    return Scheme(**{**_PRESETS[options.preset], **given})
