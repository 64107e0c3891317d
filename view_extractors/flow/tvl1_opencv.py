"""TV-L1 flow through OpenCV's contrib module."""

from __future__ import annotations

import itertools
from typing import Any

import cv2
import numpy as np

from cocon.errors import CoConError
from view_extractors.flow.base import FlowExtractor


class Tvl1OpenCv(FlowExtractor):
    """Zach, Pock and Bischof, "A duality based approach for realtime TV-L1 optical flow" (2007).

    Raises:
        CoConError: OpenCV was built without its contrib modules.
    """

    backend = "tvl1_opencv"

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        if not hasattr(cv2, "optflow"):
            raise CoConError(
                "this OpenCV has no TV-L1: another package replaced the contrib build",
                "pip uninstall the other opencv-* packages, then "
                "pip install --force-reinstall opencv-contrib-python-headless",
            )
        tvl1 = self.options
        optflow: Any = cv2.optflow
        self._method = optflow.DualTVL1OpticalFlow_create(
            tau=tvl1.tau,
            lambda_=tvl1.lambda_,
            theta=tvl1.theta,
            nscales=tvl1.scales,
            warps=tvl1.warps,
            epsilon=tvl1.epsilon,
            innnerIterations=tvl1.inner_iterations,
            outerIterations=tvl1.outer_iterations,
            scaleStep=tvl1.scale_step,
            medianFiltering=tvl1.median_filter,
        )

    def flows(self, pictures: np.ndarray) -> np.ndarray:
        """Motion between neighbours, see the base class."""
        return np.stack(
            [self._method.calc(first, second, None) for first, second in itertools.pairwise(pictures)]
        )
