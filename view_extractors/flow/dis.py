"""Dense inverse search through OpenCV: the fastest of the flow backends on a CPU."""

from __future__ import annotations

import itertools
from typing import Any

import cv2
import numpy as np

from view_extractors.base import Resources
from view_extractors.flow.base import FlowExtractor

_PRESETS = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}
#: px; OpenCV rejects pictures without room for a patch, which are smaller still
_LEAST_SIDE = 16


class Dis(FlowExtractor):
    """Kroeger, Timofte, Dai and Van Gool, "Fast optical flow using dense inverse search" (2016)."""

    backend = "dis"

    def prepare(self, resources: Resources) -> None:
        """Keep OpenCV to one thread.

        OpenCV searches in as many stripes as it has threads, and the flow depends on the stripes: with one
        thread the stored bytes are the same on every machine.
        """
        super().prepare(resources)
        cv2.setNumThreads(1)

    def flows(self, pictures: np.ndarray) -> np.ndarray:
        """Motion between neighbours, see the base class."""
        height, width = pictures.shape[1:]
        below, right = max(0, _LEAST_SIDE - height), max(0, _LEAST_SIDE - width)
        padded = [
            cv2.copyMakeBorder(picture, 0, below, 0, right, cv2.BORDER_REPLICATE) for picture in pictures
        ]
        # A small picture changes the method's scales permanently, so each call creates a new object.
        opencv: Any = cv2  # its stub lacks this method
        method = opencv.DISOpticalFlow_create(_PRESETS[self.options.preset])
        flows = [method.calc(first, second, None) for first, second in itertools.pairwise(padded)]
        return np.stack(flows)[:, :height, :width]
