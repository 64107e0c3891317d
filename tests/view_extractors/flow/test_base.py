from __future__ import annotations

import itertools

import numpy as np
import pytest

from cocon.config.schema import FlowExtraction
from cocon.shards.codecs import decode
from view_extractors.flow.base import FlowExtractor, bytes_to_flow, flow_to_bytes, rescale_flow


class Constant(FlowExtractor):
    """Every pair moves by (2, -1), plus the pair's number in u."""

    backend = "constant"

    def start(self, height, width):
        super().start(height, width)
        self.pairs = []

    def flows(self, pictures):
        flows = []
        for first, second in itertools.pairwise(pictures):
            self.pairs.append((first, second))
            flows.append(np.broadcast_to(np.float32([2 + len(self.pairs), -1]), (*first.shape, 2)))
        return np.stack(flows)


def run(settings, batches, size=(40, 60)):
    extractor = Constant(FlowExtraction.model_validate(settings))
    extractor.start(*size)
    results = [flow for batch in batches for flow in extractor.process(batch)]
    results += extractor.finish()
    stored = [decode(extractor.store(result), 2) for result in results]
    return extractor, [bytes_to_flow(flow, settings["bound"]) for flow in stored]


def frames(count, size=(40, 60)):
    return [np.full((*size, 3), 20 * i, np.uint8) for i in range(count)]


def test_zero_is_128_and_the_bound_clips():
    flow = np.float32([[[0, 0], [8, -8], [100, -100], [4, -0.01]]])
    stored = flow_to_bytes(flow, 8)
    np.testing.assert_array_equal(stored[0], [[128, 128], [255, 1], [255, 1], [192, 128]])
    np.testing.assert_allclose(bytes_to_flow(stored, 8)[0, :2], flow[0, :2], atol=1e-6)


def test_rounding_error_is_at_most_half_a_step():
    flow = np.random.default_rng(0).uniform(-5, 5, (9, 9, 2)).astype(np.float32)
    assert np.abs(bytes_to_flow(flow_to_bytes(flow, 5), 5) - flow).max() <= 0.5 * 5 / 127 + 1e-6


def test_rescaling_scales_the_vectors_per_axis():
    flow = np.full((10, 40, 2), [4.0, 3.0], np.float32)
    scaled = rescale_flow(flow, (20, 20))
    np.testing.assert_allclose(scaled, np.broadcast_to([2.0, 6.0], (20, 20, 2)))


@pytest.mark.parametrize("batches", [[4], [1, 1, 1, 1], [3, 1]])
def test_last_frame_repeats_and_batches_do_not_matter(batches):
    pictures = frames(4)
    cut = np.split(np.arange(4), np.cumsum(batches)[:-1])
    extractor, flows = run({"short_side": 40, "bound": 10}, [[pictures[i] for i in part] for part in cut])
    assert len(flows) == 4
    np.testing.assert_allclose([flow.mean(axis=(0, 1))[0] for flow in flows], [3, 4, 5, 5], atol=0.05)
    np.testing.assert_array_equal(flows[2], flows[3])
    assert [(a.mean(), b.mean()) for a, b in extractor.pairs] == [(0, 20), (20, 40), (40, 60)]


def test_one_frame_has_zero_flow():
    _, flows = run({"short_side": 20, "bound": 10}, [frames(1)])
    assert len(flows) == 1
    np.testing.assert_array_equal(flows[0], np.zeros((20, 30, 2)))


def test_computed_at_one_size_and_stored_at_another():
    extractor, flows = run({"short_side": 20, "compute_short_side": 10, "bound": 10}, [frames(2)])
    assert extractor.pairs[0][0].shape == (10, 15)
    assert flows[0].shape == (20, 30, 2)
    np.testing.assert_allclose(flows[0].mean(axis=(0, 1)), [6, -2], atol=0.05)


def test_videos_do_not_leak_into_each_other():
    extractor, _ = run({"short_side": 20, "bound": 10}, [frames(3)])
    extractor.start(40, 60)
    assert extractor.process(frames(1)) == []
    (last,) = extractor.finish()
    np.testing.assert_array_equal(decode(extractor.store(last), 2), np.full((20, 30, 2), 128))
