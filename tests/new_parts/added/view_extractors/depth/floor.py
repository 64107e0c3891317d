"""A stand-in for depth: the darker and the lower a pixel, the nearer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cocon.config.schema.extraction import DepthExtraction
from view_extractors.base import Extractor, resize


class Floor(Extractor):
    """One channel, 255 is near."""

    view = "depth"
    backend = "floor"
    section = DepthExtraction

    def process(self, batch: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Nearness of every pixel, (H, W, 1)."""
        return [self._nearness(frame_HWC) for frame_HWC in batch]

    def _nearness(self, frame_HWC: np.ndarray) -> np.ndarray:
        height_H1 = np.linspace(0, 1, len(frame_HWC), dtype=np.float32)[:, None]
        dark_HW = 1 - frame_HWC.mean(axis=2, dtype=np.float32) / 255
        near_HW = self.settings.lower * height_H1 + (1 - self.settings.lower) * dark_HW
        return np.rint(255 * near_HW)[..., None].astype(np.uint8)

    def store(self, result: np.ndarray) -> bytes:
        """Scale and encode a frame."""
        return self.encode(resize(result, self.stored_size).reshape(*self.stored_size, 1))
