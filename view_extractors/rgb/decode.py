"""The rgb view: decoded frames, scaled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cocon.config.schema import RgbExtraction
from view_extractors.base import Extractor, resize


class Rgb(Extractor):
    """Decoded frames, scaled to ``short_side``."""

    view = "rgb"
    backend = "decode"
    section = RgbExtraction

    def __init__(self, settings: RgbExtraction) -> None:
        super().__init__(settings)
        self.codec = settings.codec

    def process(self, batch: Sequence[np.ndarray]) -> list[np.ndarray]:
        """RGB frames, unchanged."""
        return list(batch)

    def store(self, result: np.ndarray) -> bytes:
        """Scale and encode a frame."""
        return self.encode(resize(result, self.stored_size))
