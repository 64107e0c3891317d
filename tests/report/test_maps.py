import re
from xml.etree import ElementTree

import numpy as np
import pytest

from cocon.report.maps import COLOURS, collapsed, colours, draw_map, embed


def test_groups_stay_groups_and_places_repeat() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 8)
    x = 4 * np.eye(3, 12)[labels] + 0.1 * rng.normal(size=(24, 12))
    places = embed(x)
    np.testing.assert_array_equal(places, embed(x))
    assert places.min() >= 0
    assert places.max() <= 1
    distance = np.linalg.norm(places[:, None] - places[None], axis=-1)
    same = labels[:, None] == labels[None]
    assert distance[same].max() < distance[~same].min()


@pytest.mark.parametrize("n", [1, 2, 3])
def test_too_few_videos_for_tsne_are_put_in_a_row(n: int) -> None:
    places = embed(np.eye(n, 5))
    assert places.shape == (n, 2)
    assert np.isfinite(places).all()


def test_of_many_classes_some_are_coloured() -> None:
    assert colours(3) == ["class-0", "class-1", "class-2"]
    styles = colours(101)
    assert sorted(filter(None, styles)) == sorted(f"class-{number}" for number in range(COLOURS))
    assert styles[0] == "class-0"
    assert styles[100] == f"class-{COLOURS - 1}"


def test_every_class_is_one_path_of_its_videos() -> None:
    labels = np.array([0, 1, 1, 2])
    svg = draw_map(np.full((4, 2), 0.5), labels, ['<a>"', "b", "c"], ["class-0", "", "class-1"], "map")
    root = ElementTree.fromstring(svg)
    clouds = [element for element in root if element.get("data-class")]
    assert [cloud.get("data-class") for cloud in clouds] == ["b", '<a>"', "c"]  # grey ones below
    assert [len(re.findall("M", cloud.get("d") or "")) for cloud in clouds] == [2, 1, 1]


@pytest.mark.parametrize("n", [2, 4, 24])
@pytest.mark.parametrize("noise", [0.0, 1e-8])
def test_features_that_are_all_the_same_have_one_place(n: int, noise: float) -> None:
    x = 0.5 + noise * np.random.default_rng(0).normal(size=(n, 4))
    assert collapsed(x)
    np.testing.assert_array_equal(embed(x), np.full((n, 2), 0.5))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("n", [2, 3, 4, 5, 20])
@pytest.mark.parametrize("dimensions", [1, 2, 5])
def test_duplicates_and_dimensions_without_variance_have_places(n: int, dimensions: int) -> None:
    x = np.random.default_rng(0).normal(size=(n, dimensions))
    half = np.where(np.arange(n)[:, None] < n // 2, 1.0, x)
    flat = np.ones((n, dimensions)) * np.arange(n)[:, None]
    for features in (x, half, flat, x[np.arange(n) % 2]):
        assert not collapsed(features)
        places = embed(features)
        assert places.shape == (n, 2)
        assert np.isfinite(places).all()
        assert (places.min(), places.max()) >= (0, 0)
        assert places.max() <= 1
