from __future__ import annotations

import cv2
import numpy as np
import pytest

from cocon.config.schema import FlowExtraction
from cocon.errors import CoConError
from cocon.shards.codecs import decode
from view_extractors.flow.base import bytes_to_flow
from view_extractors.flow.tvl1_opencv import Tvl1OpenCv


def extract(settings, frames):
    extractor = Tvl1OpenCv(FlowExtraction.model_validate(settings))
    extractor.start(*frames[0].shape[:2])
    stored = [extractor.store(flow) for flow in [*extractor.process(frames), *extractor.finish()]]
    return np.stack([bytes_to_flow(decode(data, 2), settings["bound"]) for data in stored])


def test_translated_texture_gives_the_translation_at_the_stored_scale(moving):
    # The window moves right by 2 px, so the picture moves left by 2 px, or 1 px at half the size.
    flow_THW2 = extract({"short_side": 24, "bound": 8}, moving(3, 48, 64, step=2))
    assert flow_THW2.shape == (3, 24, 32, 2)
    centre = flow_THW2[:, 4:-4, 4:-4]
    np.testing.assert_allclose(centre.mean(axis=(1, 2)), [[-1, 0]] * 3, atol=0.06)


def test_still_video_has_zero_flow(moving):
    still = moving(1) * 3
    assert np.abs(extract({"short_side": 48, "bound": 8}, still)).max() == 0


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 200)])
def test_tiny_frames_are_no_trouble(moving, size):
    assert np.isfinite(extract({"short_side": 8, "bound": 8}, moving(2, *size))).all()


def test_every_parameter_reaches_the_method():
    changed = {
        "tau": 0.2,
        "lambda": 0.1,
        "theta": 0.4,
        "scales": 3,
        "scale_step": 0.5,
        "warps": 2,
        "epsilon": 0.02,
        "inner_iterations": 7,
        "outer_iterations": 4,
        "median_filter": 3,
    }
    method = Tvl1OpenCv(FlowExtraction.model_validate({"tvl1_opencv": changed}))._method
    found = {
        "tau": method.getTau(),
        "lambda": method.getLambda(),
        "theta": method.getTheta(),
        "scales": method.getScalesNumber(),
        "scale_step": method.getScaleStep(),
        "warps": method.getWarpingsNumber(),
        "epsilon": method.getEpsilon(),
        "inner_iterations": method.getInnerIterations(),
        "outer_iterations": method.getOuterIterations(),
        "median_filter": method.getMedianFiltering(),
    }
    assert found == pytest.approx(changed)


def test_other_build_of_opencv_is_named(monkeypatch):
    monkeypatch.delattr(cv2, "optflow")
    with pytest.raises(CoConError, match="contrib"):
        Tvl1OpenCv(FlowExtraction())
