from __future__ import annotations

import numpy as np
import pytest

from cocon.config.schema import RgbExtraction
from cocon.video import VideoError
from view_extractors.base import MAX_SIDE, Extractor, resize, scaled_size


def test_sizes():
    assert scaled_size(240, 320, 150) == (150, 200)
    assert scaled_size(321, 99, 150) == (486, 150)
    assert scaled_size(1, 1000, 10) == (10, 10000)
    assert scaled_size(16, 3493, 150) == (150, MAX_SIDE - 3)
    for size in ((16, 8192), (8192, 16)):
        with pytest.raises(VideoError, match=r"aspect ratio too extreme .* (76800x150|150x76800) px"):
            scaled_size(*size, 150)
    assert resize(np.zeros((10, 20, 3), np.uint8), (5, 9)).shape == (5, 9, 3)
    checks = np.indices((8, 8)).sum(axis=0).astype(np.uint8) % 2 * 200
    assert (resize(checks, (4, 4)) == 100).all(), "shrinking averages areas"


def test_results_that_are_stored_frames_already_stay_as_they_are():
    class Plain(Extractor):
        view, backend, section = "rgb", "plain", RgbExtraction

        def process(self, batch):
            return [b"frame"] * len(batch)

    assert Plain(RgbExtraction()).store(b"frame") == b"frame"
