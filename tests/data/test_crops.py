from __future__ import annotations

import numpy as np
import pytest

from cocon.config.schema import Clip
from cocon.data.crops import Crop, best_crop, centre_crop, content_map, crop_at, crop_size
from cocon.errors import ConfigError


def test_positions_reach_both_corners_and_stay_inside() -> None:
    assert crop_at(24, 32, 20, (0.0, 0.0)) == Crop(0, 0, 20)
    assert crop_at(24, 32, 20, (0.9999999, 0.9999999)) == Crop(4, 12, 20)
    assert crop_at(24, 32, 20, (1.0, 1.0)) == Crop(4, 12, 20)


def test_positions_are_equally_likely() -> None:
    tops = [crop_at(24, 32, 20, (y, 0)).top for y in np.linspace(0, 1, 1000, endpoint=False)]
    assert np.bincount(tops).tolist() == [200] * 5


def test_centre() -> None:
    assert centre_crop(24, 32, 20) == Crop(2, 6, 20)


def test_frames_smaller_than_the_crop() -> None:
    with pytest.raises(ConfigError, match="smaller than the crop"):
        centre_crop(24, 32, 25)


def test_view_without_a_crop_size() -> None:
    with pytest.raises(ConfigError, match=r"clip\.crop has no size for the view 'mask'"):
        crop_size(Clip(crop={"rgb": 48}), "mask")


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
    crops = [Crop(0, 0, 10), Crop(14, 20, 10), Crop(5, 5, 10)]
    assert best_crop(frames, view, crops) == crops[1]
