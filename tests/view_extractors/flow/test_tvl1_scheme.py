from __future__ import annotations

from dataclasses import asdict

import pytest

from cocon.config.schema import Tvl1PresetParameters
from view_extractors.flow.tvl1.scheme import scheme_of

CHANGED = {
    "lambda_": 0.1,
    "theta": 0.4,
    "scales": 3,
    "scale_step": 0.5,
    "warps": 2,
    "iterations": 7,
    "epsilon": 0.1,
    "median_filter": 5,
}


def test_options_replace_the_presets_numbers():
    assert asdict(scheme_of(Tvl1PresetParameters(**CHANGED))) == CHANGED


def test_zero_is_a_number_that_can_be_given():
    assert scheme_of(Tvl1PresetParameters(epsilon=0)).epsilon == 0


def test_what_is_left_out_is_the_presets():
    exact = asdict(scheme_of(Tvl1PresetParameters()))
    fast = asdict(scheme_of(Tvl1PresetParameters(preset="fast")))
    assert asdict(scheme_of(Tvl1PresetParameters(warps=9))) == {**exact, "warps": 9}
    assert asdict(scheme_of(Tvl1PresetParameters(preset="fast", warps=9))) == {**fast, "warps": 9}
    assert exact != fast


@pytest.mark.parametrize("size", [(1, 1), (2, 300), (15, 15)])
def test_small_pictures_have_one_level(size):
    assert scheme_of(Tvl1PresetParameters()).sizes(*size) == [size]


def test_levels_shrink_to_no_less_than_sixteen_pixels():
    scheme = scheme_of(Tvl1PresetParameters(scales=9, scale_step=0.5))
    assert scheme.sizes(64, 100) == [(64, 100), (32, 50), (16, 25)]


def test_coarser_levels_have_more_iterations_and_warps():
    scheme = scheme_of(Tvl1PresetParameters(iterations=10, warps=4, scale_step=0.5))
    assert [scheme.iterations_at(level) for level in range(3)] == [10, 20, 40]
    assert [scheme.warps_at(level) for level in range(3)] == [4, 8, 8]
