from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from view_extractors.flow.base import flow_to_bytes, rescale_flow
from view_extractors.flow.storing import resize_weights, stored_bytes

SIZES = [
    ((48, 64), (48, 64)),
    ((48, 64), (24, 32)),
    ((240, 320), (150, 200)),
    ((61, 97), (20, 32)),
    ((97, 61), (96, 60)),
    ((40, 50), (75, 94)),
    ((100, 100), (33, 33)),
    ((1, 9), (1, 9)),
    ((7, 1), (3, 1)),
    ((2, 3), (1, 2)),
]


@pytest.mark.parametrize(("source", "target"), SIZES)
def test_the_bytes_are_those_of_the_cpu(source, target):
    flow_B2HW = np.random.default_rng(0).normal(0, 3, (3, 2, *source)).astype(np.float32)
    bound = 4.7
    found = stored_bytes(torch.from_numpy(flow_B2HW), target, bound).numpy()
    scaled = np.stack([rescale_flow(flow, target) for flow in flow_B2HW.transpose(0, 2, 3, 1)])
    wanted = np.stack([flow_to_bytes(flow, bound) for flow in scaled])
    assert found.dtype == np.uint8
    apart = found.astype(int) - wanted
    # Only what lies within rounding of a half may fall to the other side.
    exact = 128 + 127 * np.clip(scaled.astype(np.float64) / bound, -1, 1)
    assert np.abs(apart).max() <= 1
    assert (np.abs(exact - np.floor(exact) - 0.5)[apart != 0] < 1e-3).all()


def test_halves_go_to_the_even_byte_and_the_bound_clips():
    values = np.float32([0.5, 1.5, -0.5, 200, -200, 127, -127]) * np.float32(2 / 127)
    flow_B2HW = np.stack([values, values])[None, :, None]
    found = stored_bytes(torch.from_numpy(flow_B2HW), (1, 7), 2.0).numpy()[0]
    np.testing.assert_array_equal(found, flow_to_bytes(flow_B2HW[0].transpose(1, 2, 0), 2.0))
    np.testing.assert_array_equal(found[0, :, 0], [128, 130, 128, 255, 1, 255, 1])


@pytest.mark.parametrize(
    ("source", "target"), [(320, 200), (240, 150), (100, 33), (7, 7), (1000, 999), (9, 1)]
)
def test_weights_by_area_are_opencvs(source, target):
    each = np.eye(source, dtype=np.float32)
    wanted = cv2.resize(each, (target, source), interpolation=cv2.INTER_AREA).T
    np.testing.assert_allclose(resize_weights(source, target, True), wanted, atol=2e-6)


@pytest.mark.parametrize(("source", "target"), [(50, 94), (40, 75), (3, 7), (1, 4)])
def test_linear_weights_are_opencvs(source, target):
    each = np.eye(source, dtype=np.float32)
    wanted = cv2.resize(each, (target, source), interpolation=cv2.INTER_LINEAR).T
    np.testing.assert_allclose(resize_weights(source, target, False), wanted, atol=2e-6)
