from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest

from cocon.config.schema import Relations
from cocon.errors import DatasetError
from cocon.evaluation.features import Features
from cocon.evaluation.relations import chance_of_sharing, class_means, nearest_classes, relate
from cocon.evaluation.splits import Split

# Five classes on a circle: each is nearest to its neighbours on it.
ANGLES = {"a": 0.0, "b": 0.5, "c": 1.1, "d": 1.8, "e": 2.6}
IDS = [f"{name}{number}" for name in ANGLES for number in range(3)]
SPLIT = Split("1", tuple(ANGLES), {"t": 0}, {video: list(ANGLES).index(video[0]) for video in IDS})


def features(view: str, angles: dict[str, float], ids: list[str] = IDS, scale: float = 1.0) -> Features:
    jitter = np.random.default_rng(0).normal(0, 0.01, len(ids))
    turn = np.array([angles[video[0]] for video in ids]) + jitter
    x = (scale * np.stack([np.cos(turn), np.sin(turn)], 1)).astype(np.float32)
    return Features(ids, x, x, x, np.ones(len(ids)), view, "cocon")


def test_views_that_see_the_same_agree_and_views_that_do_not_do_not() -> None:
    same = {"rgb": features("rgb", ANGLES), "flow": features("flow", ANGLES, scale=30.0)}
    found = relate(SPLIT, same, Relations(neighbours=2, shared=2))
    assert found.classes == tuple(ANGLES)
    assert found.nearest["rgb"].tolist() == [[1, 2], [0, 2], [1, 3], [2, 4], [3, 2]]
    assert found.agreeing == 5

    turned = dict(zip(ANGLES, [0.0, 1.1, 2.6, 0.5, 1.8], strict=True))
    other = {"rgb": features("rgb", ANGLES), "flow": features("flow", turned)}
    # In the second view: a to d, b; b to d, e; c to e, b; d to a, b; e to b, c.
    found = relate(SPLIT, other, Relations(neighbours=2, shared=1))
    assert found.shared.tolist() == [1, 0, 1, 0, 1]
    assert found.agreeing == 3
    assert relate(SPLIT, other, Relations(neighbours=2, shared=2)).agreeing == 0


def test_only_videos_of_all_views_count() -> None:
    odd = features("flow", ANGLES, [video for video in IDS if video[0] != "e"])
    found = relate(SPLIT, {"rgb": features("rgb", ANGLES), "flow": odd}, Relations(neighbours=2, shared=2))
    assert found.classes == ("a", "b", "c", "d")
    with pytest.raises(DatasetError, match="4 classes"):
        relate(SPLIT, {"rgb": odd}, Relations(neighbours=4, shared=4))


def test_class_means_weigh_videos_alike_whatever_their_norm() -> None:
    x_ND = np.array([[10.0, 0.0], [0.0, 0.1], [0.0, 5.0]])
    means = class_means(x_ND, np.array([3, 3, 7]))
    np.testing.assert_allclose(means, [[2**-0.5, 2**-0.5], [0, 1]])
    assert nearest_classes(means @ means.T, 1).tolist() == [[1], [0]]


@pytest.mark.parametrize(("others", "views", "k", "least"), [(4, 2, 2, 1), (5, 3, 2, 1), (4, 3, 3, 3)])
def test_chance_counts_all_possible_orders(others: int, views: int, k: int, least: int) -> None:
    subsets = list(combinations(range(others), k))
    hits = [len(set.intersection(*map(set, chosen))) >= least for chosen in product(subsets, repeat=views)]
    assert chance_of_sharing(others, views, k, least) == pytest.approx(np.mean(hits))


@pytest.mark.parametrize("noise", [0.0, 1e-7])
def test_views_agree_about_nothing_where_all_classes_are_the_same(noise: float) -> None:
    """Ties would be broken by number, the same in all views, and count as agreement."""
    x = 1 + noise * np.random.default_rng(0).standard_normal((len(IDS), 8))
    collapsed = replace(features("rgb", ANGLES), encoder=x.astype(np.float32))
    for other in (collapsed, features("flow", ANGLES)):
        found = relate(SPLIT, {"rgb": collapsed, "flow": other}, Relations(neighbours=2, shared=1))
        assert found.agreeing == 0
        assert found.shared.tolist() == [0] * 5
    assert found.collapsed == ("rgb",)
