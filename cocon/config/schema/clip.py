"""Section ``clip`` of a recipe."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from cocon.config.schema.base import PositiveInt, Section, ViewName, completed_by
from cocon.views import VIEWS

_CROPS = {view.name: view.crop for view in VIEWS.values()}


class Clip(Section):
    """What the network sees of a video: N blocks of K frames."""

    blocks: PositiveInt = Field(8, description="N, blocks per clip (Rai et al. 2021)")
    frames_per_block: PositiveInt = Field(5, description="K, frames per block (Rai et al. 2021)")
    stride: PositiveInt = Field(
        3,
        description="frames of the video from one used frame to the next; fewer in a video that is too short",
    )
    predicted_blocks: PositiveInt = Field(
        3, description="the last blocks of a clip, which are predicted from the others (Rai et al. 2021)"
    )
    crop: Annotated[dict[ViewName, PositiveInt], completed_by(_CROPS)] = Field(
        _CROPS,
        description="side of the square that the network sees, px, by view; those not named keep these "
        "values (Rai et al. 2021)",
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
