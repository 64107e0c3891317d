from xml.etree import ElementTree

import numpy as np
import pytest

from cocon.report.cosines import compare, draw_cosines


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_separation_is_the_share_of_pairs_in_the_right_order() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 20)
    x = unit(np.eye(3, 6)[labels] + 0.7 * rng.normal(size=(20, 6)))
    cosines = x @ x.T
    pairs = [(i, j) for i in range(20) for j in range(i)]
    same = [cosines[i, j] for i, j in pairs if labels[i] == labels[j]]
    other = [cosines[i, j] for i, j in pairs if labels[i] != labels[j]]
    expected = np.mean([(a > b) + 0.5 * (a == b) for a in same for b in other])
    assert compare(x, labels).separation == pytest.approx(expected)
    assert 0.6 < expected < 1


def test_shares_sum_to_one_and_lie_where_the_cosines_are() -> None:
    found = compare(np.eye(2)[[0, 0, 1]], np.array([0, 0, 1]))
    assert found.same.sum() == pytest.approx(1)
    assert found.other.sum() == pytest.approx(1)
    assert found.same[-1] == 1  # cosine 1
    assert found.other[100] == 1  # cosine 0
    assert found.separation == 1


def test_one_class_has_nothing_to_be_told_apart_from() -> None:
    found = compare(np.eye(3), np.zeros(3, int))
    assert np.isnan(found.separation)
    ElementTree.fromstring(draw_cosines([("cocon", found)], "view-rgb", "rgb"))


def test_the_axis_covers_the_cosines_and_names_are_escaped() -> None:
    found = compare(np.eye(2)[[0, 0, 1]], np.array([0, 0, 1]))
    svg = ElementTree.fromstring(draw_cosines([("<b>", found), ("cocon", found)], "view-rgb", "rgb"))
    rows = [element.text for element in svg if element.get("class") == "row"]
    assert rows == ["<b>", "cocon"]
    ticks = [float(element.text or "") for element in svg if element.get("class") == "tick"]
    assert ticks[0] == pytest.approx(0, abs=0.05)
    assert ticks[-1] == pytest.approx(1, abs=0.05)
    assert ticks == sorted(ticks)


@pytest.mark.parametrize("x", [1.0, 0.0, 0.1 + 1e-16 * np.arange(50).reshape(10, 5)])
def test_identical_features_do_not_separate_whatever_their_last_bits(x: np.ndarray | float) -> None:
    features = unit(np.broadcast_to(x, (10, 5))) if np.any(x) else np.zeros((10, 5))
    found = compare(features, np.arange(10) % 3)
    assert found.separation == 0.5
    ElementTree.fromstring(draw_cosines([("a", found)], "view-rgb", "cosines"))


def test_one_video_has_no_pairs() -> None:
    found = compare(np.ones((1, 1)), np.zeros(1))
    assert np.isnan(found.separation)
    ElementTree.fromstring(draw_cosines([("a", found)], "view-rgb", "cosines"))
