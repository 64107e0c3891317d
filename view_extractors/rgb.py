"""The rgb view: decoded frames, scaled and stored as JPEG."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cocon.config.schema import RgbExtraction
from view_extractors.base import Extractor, resize


class Rgb(Extractor):
    """Frames as they are, scaled to ``short_side``."""

    view = "rgb"
    backend = "decode"
    section = RgbExtraction

    def process(self, batch: Sequence[np.ndarray]) -> list[bytes]:
        """Scale and encode RGB frames."""
        return [self.encode(resize(frame, self.stored_size)) for frame in batch]
