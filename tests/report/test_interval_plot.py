from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from cocon.report.interval_plot import Dot, interval_plot


def test_interval_plot_places_values_between_their_limits() -> None:
    svg = interval_plot(
        [Dot("rgb", "cocon", "dot-cocon", 0.5, 0.4, 0.6)], ["rgb"], {"dot-cocon": "circle"}, 0.1
    )
    ElementTree.fromstring(svg)
    group = re.search(r'<g class="dot dot-cocon">.*?</g>', svg)[0]
    low, high = (float(x) for x in re.search(r'<line x1="([\d.]+)" x2="([\d.]+)"', group).groups())
    centre = float(re.search(r"translate\(([\d.]+)", group)[1])
    assert centre == pytest.approx((low + high) / 2, abs=0.1)
    chance = float(re.search(r'class="chance" x1="([\d.]+)"', svg)[1])
    assert chance < low
