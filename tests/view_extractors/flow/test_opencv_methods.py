"""What holds for every method that OpenCV brings: translation, stillness, odd sizes, options."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from cocon.config.schema import FlowExtraction
from cocon.shards.codecs import decode
from view_extractors.base import Resources
from view_extractors.flow.base import bytes_to_flow
from view_extractors.flow.dis import Dis
from view_extractors.flow.farneback import Farneback
from view_extractors.registry import extractor_class

BACKENDS = ["tvl1_opencv", "dis", "farneback"]


def make(backend, **settings):
    settings = FlowExtraction.model_validate({"backend": backend, "bound": 8, **settings})
    extractor = extractor_class("flow", backend)(settings)
    extractor.prepare(Resources(threads=2))
    return extractor


def extract(backend, frames, **settings):
    extractor = make(backend, **settings)
    extractor.start(*frames[0].shape[:2])
    return np.stack(
        [
            bytes_to_flow(decode(extractor.store(flow), 2), 8)
            for flow in [*extractor.process(frames), *extractor.finish()]
        ]
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_translated_texture_gives_the_translation_at_the_stored_scale(backend, moving):
    # The window moves right by 2 px, so the picture moves left by 2 px, or 1 px at half the size.
    flow_THW2 = extract(backend, moving(3, 96, 128, step=2), short_side=48)
    assert flow_THW2.shape == (3, 48, 64, 2)
    centre_THW2 = flow_THW2[:, 12:-12, 12:-12]
    np.testing.assert_allclose(np.median(centre_THW2, axis=(1, 2)), [[-1, 0]] * 3, atol=0.1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_still_video_has_zero_flow(backend, moving):
    step = 8 / 127  # Farnebäck's method is off by up to .07 px along the border
    largest = np.abs(extract(backend, moving(1) * 3, short_side=48)).max()
    assert largest <= (1.01 * step if backend == "farneback" else 0)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 200), (15, 15)])
def test_tiny_frames_are_no_trouble(backend, size, moving):
    extractor = make(backend)
    pictures = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in moving(2, *size)])
    flows = extractor.flows(pictures)
    assert flows.shape == (1, *size, 2)
    assert np.isfinite(flows).all()


def test_dis_does_not_remember_a_smaller_video(moving):
    small, pictures = (
        np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in moving(2, *size)])
        for size in ((20, 20), (60, 80))
    )
    fresh, used = make("dis"), make("dis")
    used.flows(small)
    np.testing.assert_array_equal(used.flows(pictures), fresh.flows(pictures))


def test_dis_presets_differ_and_threads_do_not_matter(moving):
    pictures = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in moving(2, 96, 128, step=3)])
    presets = [
        make("dis", dis={"preset": preset}).flows(pictures) for preset in ("ultrafast", "fast", "medium")
    ]
    assert not np.array_equal(presets[0], presets[1])
    assert not np.array_equal(presets[1], presets[2])
    np.testing.assert_array_equal(make("dis").flows(pictures), presets[2])
    assert cv2.getNumThreads() == 1


def test_every_farneback_option_reaches_opencv(monkeypatch):
    seen = {}
    monkeypatch.setattr(
        cv2,
        "calcOpticalFlowFarneback",
        lambda first, second, flow, **given: seen.update(given) or np.zeros((*first.shape, 2)),
    )
    changed = {"scale_step": 0.6, "levels": 2, "window": 9, "iterations": 4, "neighbourhood": 7, "sigma": 1.5}
    extractor = Farneback(FlowExtraction.model_validate({"backend": "farneback", "farneback": changed}))
    extractor.flows(np.zeros((2, 8, 8), np.uint8))
    names = {"scale_step": "pyr_scale", "levels": "levels", "window": "winsize"}
    names |= {"iterations": "iterations", "neighbourhood": "poly_n", "sigma": "poly_sigma"}
    assert seen == {names[key]: value for key, value in changed.items()} | {"flags": 0}


def test_parameters_name_the_used_backend_only():
    parameters = Dis(FlowExtraction(backend="dis")).parameters
    assert parameters["backend"] == "dis"
    assert parameters["dis"] == {"preset": "medium"}
    assert not {"farneback", "raft", "tvl1_opencv"} & set(parameters)
