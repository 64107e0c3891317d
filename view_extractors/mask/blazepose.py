"""The mask view by BlazePose: one person per frame."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from cocon.config.schema import MaskExtraction
from view_extractors.base import Extractor
from view_extractors.networks.blazepose import BlazePose, Person, pixel_centres, sigmoid


class BlazePoseMask(Extractor):
    """Confidence that a pixel shows the person; zero everywhere in frames without one."""

    view = "mask"
    backend = "blazepose"
    section = MaskExtraction
    network = BlazePose

    def process(self, batch: Sequence[Person | None]) -> list[Person | None]:
        """The persons, unchanged."""
        return list(batch)

    def store(self, result: Person | None) -> bytes:
        """Warp a mask from the network's crop to the stored size, and encode it."""
        return self.encode(self._mask(result))

    def _mask(self, person: Person | None) -> np.ndarray:
        height, width = self.stored_size
        if person is None:
            return np.zeros((height, width, 1), np.uint8)
        # Sampled at twice the stored size and averaged, because the crop is usually finer.
        to_double = 2 * np.array([[width / self.frame_size[1]], [height / self.frame_size[0]]])
        crop_to_double = pixel_centres(person.crop_to_frame * to_double)
        confidence = sigmoid(person.mask_logits)
        double = cv2.warpAffine(confidence, crop_to_double, (2 * width, 2 * height), flags=cv2.INTER_LINEAR)
        mask = cv2.resize(double, (width, height), interpolation=cv2.INTER_AREA)
        return np.rint(255 * mask).astype(np.uint8)[:, :, None]
