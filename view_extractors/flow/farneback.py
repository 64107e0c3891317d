"""Polynomial expansion through OpenCV: the flow that CoCon's authors used on Kinetics-400."""

from __future__ import annotations

import itertools
from typing import Any

import cv2
import numpy as np

from view_extractors.flow.base import FlowExtractor


class Farneback(FlowExtractor):
    """Farnebäck, "Two-frame motion estimation based on polynomial expansion" (2003)."""

    backend = "farneback"

    def flows(self, pictures: np.ndarray) -> np.ndarray:
        """Motion between neighbours, see the base class."""
        return np.stack([self._flow(first, second) for first, second in itertools.pairwise(pictures)])

    def _flow(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        options = self.options
        calculate: Any = cv2.calcOpticalFlowFarneback  # its stub does not allow flow=None
        result: np.ndarray = calculate(
            first,
            second,
            None,
            pyr_scale=options.scale_step,
            levels=options.levels,
            winsize=options.window,
            iterations=options.iterations,
            poly_n=options.neighbourhood,
            poly_sigma=options.sigma,
            flags=0,
        )
        return result
