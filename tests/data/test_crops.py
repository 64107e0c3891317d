from __future__ import annotations

import numpy as np
import pytest

from cocon.data.crops import (
    Crop,
    best_crop,
    centre_crop,
    content_map,
    crop_at,
    rescale_vectors,
    resized_crop_at,
    scaled,
)
from cocon.errors import ConfigError


def test_positions_reach_both_corners_and_stay_inside() -> None:
    assert crop_at(24, 32, 20, (0.0, 0.0)) == Crop(0, 0, 20, 20)
    assert crop_at(24, 32, 20, (0.9999999, 0.9999999)) == Crop(4, 12, 20, 20)
    assert crop_at(24, 32, 20, (1.0, 1.0)) == Crop(4, 12, 20, 20)


def test_positions_are_equally_likely() -> None:
    tops = [crop_at(24, 32, 20, (y, 0)).top for y in np.linspace(0, 1, 1000, endpoint=False)]
    assert np.bincount(tops).tolist() == [200] * 5


def test_centre() -> None:
    assert centre_crop(24, 32, 20) == Crop(2, 6, 20, 20)


def test_frames_smaller_than_the_crop() -> None:
    with pytest.raises(ConfigError, match="smaller than the crop"):
        centre_crop(24, 32, 25)


def test_content_of_flow_is_the_distance_from_zero() -> None:
    generator = np.random.default_rng(0)
    flow = generator.integers(0, 256, (3, 4, 5, 2), dtype=np.uint8)
    expected = np.abs(flow.astype(float) - 128).mean((0, 3))
    np.testing.assert_allclose(content_map(flow, "flow"), expected)
    np.testing.assert_allclose(content_map(flow, "mask"), flow.astype(float).mean((0, 3)))


@pytest.mark.parametrize(("view", "background", "object_"), [("flow", 128, 90), ("mask", 0, 200)])
def test_best_crop_holds_the_object(view: str, background: int, object_: int) -> None:
    frames = np.full((2, 24, 32, 2), background, np.uint8)
    frames[:, 15:20, 25:30] = object_
    crops = [Crop(0, 0, 10, 10), Crop(14, 20, 10, 10), Crop(5, 5, 10, 10)]
    assert best_crop(frames, view, crops) == crops[1]


def test_best_crop_judges_crops_of_different_size_per_pixel() -> None:
    frames = np.zeros((2, 24, 32, 1), np.uint8)
    frames[:, 15:20, 25:30] = 200
    tight, all_of_it = Crop(15, 25, 5, 5), Crop(0, 0, 24, 32)
    assert best_crop(frames, "mask", [all_of_it, tight]) == tight


@pytest.mark.parametrize("area", [0.5, 0.75, 1.0])
@pytest.mark.parametrize("aspect", [3 / 4, 1.0, 4 / 3])
def test_resized_crop_has_the_area_and_aspect_that_fit(area: float, aspect: float) -> None:
    crop = resized_crop_at(300, 400, (1.0, 1.0), area, aspect)
    wanted = (area * 120_000 / aspect) ** 0.5, (area * 120_000 * aspect) ** 0.5
    assert crop.height == min(300, round(wanted[0]))
    assert crop.width == min(400, round(wanted[1]))
    assert (crop.top + crop.height, crop.left + crop.width) == (300, 400)
    assert resized_crop_at(300, 400, (0.0, 0.0), area, aspect).top == 0


def test_scaling_keeps_a_ramp_and_averages_when_it_shrinks() -> None:
    ramp = np.broadcast_to(np.arange(0, 240, 3, dtype=np.uint8)[None, None, :, None], (2, 40, 80, 1))
    half = scaled(np.ascontiguousarray(ramp), 40)
    assert half.shape == (2, 40, 40, 1)
    np.testing.assert_allclose(half[0, 0, 2:-2, 0], np.arange(1.5, 240, 6)[2:-2], atol=1)
    assert scaled(ramp, 80).shape == (2, 80, 80, 1)
    square = np.zeros((1, 16, 16, 17), np.uint8)
    assert scaled(square, 16) is square


def test_flow_stretches_with_its_picture() -> None:
    flow = np.array([128, 128, 138, 118, 250, 6], np.uint8).reshape(1, 1, 3, 2)
    crop = Crop(0, 0, height=40, width=10)
    expected = [128, 128, 128 + 20, 128 - 5, 255, 128 - 61]  # u doubles, v halves; bytes end at 255
    assert rescale_vectors(flow, "flow", crop, 20).ravel().tolist() == expected
