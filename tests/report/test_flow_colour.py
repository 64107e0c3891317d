import numpy as np
import pytest

from cocon.report.flow_colour import colour_of_flow, colour_wheel, pixels_of_stored, wheel_picture


def paint(u: float, v: float, full_scale: float = 1.0) -> tuple[int, ...]:
    return tuple(colour_of_flow(np.array([[[u, v]]]), full_scale)[0, 0].tolist())


def test_wheel_has_the_55_hues_of_the_paper() -> None:
    wheel = colour_wheel()
    assert wheel.shape == (55, 3)
    corners = np.cumsum([0, 15, 6, 4, 11, 13])
    expected = [[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1]]
    np.testing.assert_array_equal(wheel[corners], expected)
    assert (wheel.max(axis=1) == 1).all()
    assert (wheel.min(axis=1) == 0).all()


def test_rest_is_white() -> None:
    assert paint(0, 0) == (255, 255, 255)


@pytest.mark.parametrize(
    ("u", "v", "strongest", "weakest"),
    [(1, 0, {0}, {1, 2}), (0, 1, {0, 1}, {2}), (-1, 0, {1, 2}, {0}), (0, -1, {2}, {1})],
)
def test_direction_is_hue(u: float, v: float, strongest: set[int], weakest: set[int]) -> None:
    colour = np.array(paint(u, v))
    assert set(np.flatnonzero(colour > 180)) == strongest
    assert set(np.flatnonzero(colour < 30)) == weakest


def test_speed_is_saturation() -> None:
    assert paint(1, 0) == (255, 0, 0)
    assert paint(0.5, 0) == (255, 128, 128)
    assert paint(3, 0, full_scale=6) == paint(0.5, 0)


def test_beyond_full_scale_is_darker() -> None:
    assert paint(1.5, 0) == (191, 0, 0)


def test_the_circle_closes() -> None:
    just_above, just_below = np.array(paint(1, 1e-4)), np.array(paint(1, -1e-4))
    assert np.abs(just_above - just_below).max() <= 1


def test_full_scale_must_be_positive() -> None:
    with pytest.raises(ValueError, match="positive"):
        colour_of_flow(np.zeros((1, 1, 2)), 0.0)


def test_stored_bytes_become_pixels() -> None:
    stored = np.array([[[128, 128], [255, 1]]], np.uint8)
    np.testing.assert_allclose(pixels_of_stored(stored, 20.0), [[[0, 0], [20, -20]]])


def test_legend_is_a_disc_with_the_colours_of_the_flow() -> None:
    size = 81
    legend = wheel_picture(size)
    assert legend.shape == (size, size, 4)
    assert legend[0, 0, 3] == 0
    assert tuple(legend[40, 40]) == (255, 255, 255, 255)
    u = (70 + 0.5) * 2 / size - 1
    np.testing.assert_allclose(legend[40, 70, :3].astype(int), paint(u, 0), atol=1)
