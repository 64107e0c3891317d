from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from cocon.data.selection import Selection
from cocon.datasets.manifest import Video
from cocon.training.probe import choose_videos, group_knn, knn_accuracy, mean_cosines, ridge_accuracy


def videos(groups: int, labelled: bool = True) -> list[Video]:
    return [
        Video(f"{label}{group}", Path("x"), label if labelled else "", f"g{group}", {"1": "train"})
        for group in range(groups)
        for label in ("run", "walk")
    ]


def blobs(noise: float) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(120) % 3
    centres = torch.randn(3, 8, generator=generator)
    return centres[labels] + noise * torch.randn(120, 8, generator=generator), labels


def test_groups_are_not_torn_apart() -> None:
    table = videos(20)
    chosen = choose_videos(table, Selection([v.id for v in table], [], {}), 24, 0)
    assert chosen is not None
    assert (len(chosen.train), len(chosen.test)) == (18, 6)
    group = {video.id: video.group for video in table}
    assert not {group[name] for name in chosen.train} & {group[name] for name in chosen.test}
    assert all(number == (name[0] == "w") for name, number in {**chosen.train, **chosen.test}.items())


def test_held_out_videos_test_the_probe() -> None:
    table = videos(8)
    held_out = [v.id for v in table if v.group in ("g2", "g5")]
    rest = [v.id for v in table if v.id not in held_out]
    chosen = choose_videos(table, Selection(rest, held_out, {}), 100, 0)
    assert chosen is not None
    assert set(chosen.test) == set(held_out)
    assert set(chosen.train) == set(rest)


def test_names_that_are_no_utf8_can_be_chosen() -> None:
    table = [Video(f"{v.id}\udcff", v.location, v.label, f"{v.group}\udcff", v.splits) for v in videos(8)]
    chosen = choose_videos(table, Selection([v.id for v in table], [], {}), 100, 0)
    assert chosen is not None
    assert {*chosen.train, *chosen.test} == {v.id for v in table}


@pytest.mark.parametrize("table", [videos(5, labelled=False), videos(1)])
def test_without_labels_or_groups_there_is_no_probe(table: list[Video]) -> None:
    assert choose_videos(table, Selection([v.id for v in table], [], {}), 100, 0) is None


@pytest.mark.parametrize("noise", [0.3, 2.0])
def test_ridge_is_that_of_scikit_learn(noise: float) -> None:
    x, labels = blobs(noise)
    scaler = StandardScaler().fit(x[:80])
    theirs = RidgeClassifier(alpha=80).fit(scaler.transform(x[:80]), labels[:80])
    expected = theirs.score(scaler.transform(x[80:]), labels[80:])
    assert ridge_accuracy(x[:80], labels[:80], x[80:], labels[80:]) == pytest.approx(expected)


@pytest.mark.parametrize("noise", [0.3, 2.0])
def test_knn_is_that_of_scikit_learn(noise: float) -> None:
    x, labels = blobs(noise)
    theirs = KNeighborsClassifier(5, metric="cosine", weights=lambda distance: 2 - distance)
    expected = theirs.fit(x[:80], labels[:80]).score(x[80:], labels[80:])
    assert knn_accuracy(x[:80], labels[:80], x[80:], labels[80:]) == pytest.approx(expected)


def test_cosines_against_loops() -> None:
    x, labels = blobs(1.0)
    x, labels = x[:12], labels[:12]
    same, other = [], []
    for i in range(12):
        for j in range(12):
            if i != j:
                a, b = x[i].double().numpy(), x[j].double().numpy()
                cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
                (same if labels[i] == labels[j] else other).append(cosine)
    assert mean_cosines(x, labels) == pytest.approx((np.mean(same), np.mean(other)))


def test_collapse_shows() -> None:
    same, other = mean_cosines(torch.ones(6, 4), torch.arange(6) % 2)
    assert same == pytest.approx(1)
    assert other == pytest.approx(1)
    assert mean_cosines(torch.ones(2, 4), torch.arange(2))[0] is None


@pytest.mark.parametrize("noise", [0.3, 2.0])
def test_group_knn_is_that_of_scikit_learn(noise: float) -> None:
    x, labels = blobs(noise)
    groups = torch.arange(len(x)) // 7 % 9
    theirs = KNeighborsClassifier(5, metric="cosine", weights=lambda distance: 2 - distance)
    predicted = torch.tensor(
        cross_val_predict(theirs, x.double(), labels, groups=groups, cv=LeaveOneGroupOut())
    )
    for queries in (torch.arange(len(x)), torch.tensor([3, 50, 99])):
        expected = int((predicted == labels)[queries].sum())
        assert group_knn(x, labels, groups, queries) == expected


def test_neighbours_of_the_same_group_do_not_count() -> None:
    """Every row lies on one of its own group and class; the other groups have its class on the other side."""
    x = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    labels, everyone = torch.tensor([0, 0, 1, 1]), torch.arange(4)
    assert group_knn(x, labels, torch.tensor([0, 1, 0, 1]), everyone) == 4
    assert group_knn(x, labels, torch.tensor([0, 0, 1, 1]), everyone) == 0
