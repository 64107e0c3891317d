import itertools
import json
import math
import re
from html import unescape
from xml.etree import ElementTree

import pytest

from cocon.report.charts import (
    Scale,
    Series,
    has_points,
    line_chart,
    show,
    spread,
    ticks,
)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.013, 0.0131), (-3, 17), (2.5, 2.5), (0, 0), (1e4, 9e6)])
def test_ticks_are_round_and_cover_the_range(low: float, high: float) -> None:
    marks = ticks(low, high)
    assert marks[0] <= low
    assert marks[-1] >= high
    assert 2 <= len(marks) <= 8
    steps = {round(b - a, 9) for a, b in itertools.pairwise(marks)}
    assert len(steps) == 1


def test_spread_keeps_order_and_distance() -> None:
    placed = spread([10, 11, 12, 90], 13, 0, 100)
    assert all(b - a >= 13 for a, b in itertools.pairwise(placed))
    assert placed[-1] <= 100
    assert spread([95, 96, 97], 13, 0, 100) == [74, 87, 100]
    assert spread([], 13, 0, 100) == []


def points(svg: str) -> list[list[tuple[float, ...]]]:
    found = re.findall(r'points="([^"]*)"', svg)
    return [[tuple(map(float, pair.split(","))) for pair in line.split()] for line in found]


def test_a_falling_loss_goes_down_and_right() -> None:
    svg = line_chart([Series("rgb", [1, 2, 3], [9, 4, 1], ("view-rgb",))])
    ElementTree.fromstring(svg)
    (line,) = points(svg)
    assert line == sorted(line)
    assert [y for _, y in line] == sorted(y for _, y in line)


def test_points_that_are_not_finite_are_left_out() -> None:
    svg = line_chart(
        [Series("rgb", [1, 2, 3], [9, math.nan, 1], ("view-rgb",)), Series("x", [1], [math.inf], ("a",))]
    )
    assert len(points(svg)) == 1
    assert len(points(svg)[0]) == 2
    with pytest.raises(ValueError, match="finite"):
        line_chart([Series("rgb", [1], [math.nan], ("view-rgb",))])


def test_a_pair_shows_both_colours_and_validation_is_dotted() -> None:
    svg = line_chart(
        [
            Series("rgb–flow", [1, 2], [1, 2], ("view-rgb", "view-flow")),
            Series("rgb", [1, 2], [1, 2], ("view-rgb",), dashed=True),
        ]
    )
    assert 'class="line view-rgb"' in svg
    assert 'class="over view-flow"' in svg
    assert 'class="validation view-rgb"' in svg


def test_a_logarithmic_axis_spaces_decades_evenly() -> None:
    (line,) = points(line_chart([Series("", [1, 2, 3], [1e-3, 1e-4, 1e-5], ("view-all",))], scale="log"))
    first, second, third = (y for _, y in line)
    assert second - first == pytest.approx(third - second, abs=0.2)


def test_one_epoch_is_a_point() -> None:
    assert "<circle" in line_chart([Series("rgb", [1], [2], ("view-rgb",))])


def test_names_are_escaped_and_the_hover_data_is_json() -> None:
    svg = line_chart([Series('<b>"&', [1, 2], [0.1, 0.25], ("view-all",))], scale="percent")
    assert "<b>" not in svg
    hover = json.loads(unescape(re.search(r'data-chart="([^"]*)"', svg)[1]))
    assert hover["series"][0]["name"] == '<b>"&'
    assert hover["series"][0]["text"] == ["10 %", "25 %"]


def test_values_on_axes() -> None:
    assert show(0.125, "percent") == "12.5 %"
    assert show(1e-5, "log") == "1e-5"
    assert show(3.14159, "number") == "3.142"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scale", ["number", "percent", "log"])
@pytest.mark.parametrize(
    "values",
    [(3.0, 3.0), (3.0, 3.0000000000000004), (1e-300, 2e-300), (5e-324, 1.0), (9e99, 1.0), (1.0, 1e300)],
)
@pytest.mark.parametrize("x", [(1, 1), (1, 2), (-1, 1e9), (1, 1e300), (math.nan, 1)])
def test_ranges_of_zero_and_absurd_ones_have_a_chart(
    scale: Scale, values: tuple[float, float], x: tuple[float, float]
) -> None:
    line = Series("rgb", x, values, ("view-rgb",))
    if has_points(line, scale):
        svg = line_chart([line], scale=scale)
        ElementTree.fromstring(svg)
        assert "nan" not in svg
    else:
        with pytest.raises(ValueError, match="finite"):
            line_chart([line], scale=scale)


def test_small_numbers_keep_their_ticks() -> None:
    assert ticks(1e-15, 2e-15) == [1e-15, 1.25e-15, 1.5e-15, 1.75e-15, 2e-15]
