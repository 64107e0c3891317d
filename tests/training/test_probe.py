from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from cocon.data.selection import Selection
from cocon.datasets.manifest import Video
from cocon.losses.instances import instance_features
from cocon.shards import ShardSet
from cocon.training.log import Row
from cocon.training.probe import (
    Probe,
    ProbeVideos,
    choose_videos,
    group_knn,
    knn_accuracy,
    ridge_accuracy,
)
from cocon.training.settings import PretrainSettings


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
    assert chosen.groups == {name: group[name] for name in (*chosen.train, *chosen.test)}


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


class Constructed:
    """Stands for the network of a view: gives maps z of the videos in the order in which it is asked."""

    def __init__(self, z_NBDSS: torch.Tensor) -> None:
        self.left_NBDSS = z_NBDSS

    def eval(self) -> None:
        pass

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        given, self.left_NBDSS = self.left_NBDSS[: len(x)], self.left_NBDSS[len(x) :]
        return given


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


PEOPLE = [f"p{person}" for person in range(8)]
IDS = {f"{person}_{take}": take for person in PEOPLE for take in range(2)}
CHOSEN = ProbeVideos(
    dict(list(IDS.items())[:12]), dict(list(IDS.items())[12:]), {video: video[:2] for video in IDS}
)
"""The 16 training videos of the blobs: one of each of two classes by each person."""


@pytest.fixture
def measure(dataset: Path, settings: Callable[..., PretrainSettings]) -> Callable[..., Row]:
    """Probe networks that give one map (D, S, S) per video and block, by view."""

    def measure(**z_NBDSS: torch.Tensor) -> Row:
        shards = {view: ShardSet.of_folder(dataset / "shards" / view) for view in z_NBDSS}
        probe = Probe(CHOSEN, shards, settings().clip, batch_size=5)
        networks: Any = {view: Constructed(z) for view, z in z_NBDSS.items()}
        return probe(networks, torch.device("cpu"), "off")

    return measure


def maps(vectors_ND: torch.Tensor) -> torch.Tensor:
    """Two blocks of two by two locations that all have the video's vector."""
    return vectors_ND[:, None, :, None, None].expand(-1, 2, -1, 2, 2)


def test_what_knows_the_class_and_what_knows_the_person(measure: Callable[..., Row]) -> None:
    of_class = F.one_hot(torch.arange(16) % 2, 9).float()
    of_person = F.one_hot(torch.arange(16) // 2, 9).float()
    row = measure(rgb=maps(of_class), mask=maps(of_person))
    # Others of other persons: seven of the class and seven of the other one.
    assert row["neighbours/chance"] == 0.5
    assert (row["neighbours/rgb"], row["cosine_same/rgb"], row["cosine_other/rgb"]) == (1, 1, 0)
    # Whoever knows the person is near to no one else's videos: the order is random.
    assert (row["neighbours/mask"], row["cosine_same/mask"], row["cosine_other/mask"]) == (0.5, 0, 0)
    assert (row["knn/rgb"], row["linear/rgb"]) == (1, 1)
    # Axis 0 of rgb is the first class, of mask the first person, and so on: of 112 ordered pairs of one
    # class, those of a video of class 0 with person 0, and of class 1 with person 1, have the cosine 1.
    assert row["cosine_same/rgb-mask"] == pytest.approx(14 / 112)
    assert row["cosine_other/rgb-mask"] == pytest.approx(14 / 112)


def test_cosines_are_those_of_the_instances_that_the_loss_compares(measure: Callable[..., Row]) -> None:
    """Maps of four by four locations are pooled by their maxima first; blocks are instances of their own."""
    generator = torch.Generator().manual_seed(0)
    z = {v: F.normalize(torch.randn(16, 3, 5, 4, 4, generator=generator), dim=2) for v in ("rgb", "mask")}
    row = measure(**z)
    h = {v: instance_features(z_NBDSS).unflatten(0, (16, 3)).double() for v, z_NBDSS in z.items()}
    for name, a, b in [("rgb", "rgb", "rgb"), ("mask", "mask", "mask"), ("rgb-mask", "rgb", "mask")]:
        found: dict[bool, list[float]] = {True: [], False: []}
        for i, j in itertools.product(range(16), repeat=2):
            if i // 2 != j // 2:
                found[i % 2 == j % 2] += [(p @ q).item() for p in h[a][i] for q in h[b][j]]
        expected = [np.mean(found[True]), np.mean(found[False])]
        actual = [row[f"cosine_same/{name}"], row[f"cosine_other/{name}"]]
        assert actual == pytest.approx(expected, abs=1e-7)


def test_neighbours_are_those_of_the_features_that_are_evaluated(measure: Callable[..., Row]) -> None:
    generator = torch.Generator().manual_seed(1)
    z = F.normalize(torch.randn(16, 3, 5, 4, 4, generator=generator), dim=2)
    x = F.normalize(z.mean((1, 3, 4)), dim=1)
    shares = []
    for i in range(16):
        others = [j for j in range(16) if j // 2 != i // 2]
        nearest = sorted(others, key=lambda j, i=i: -(x[i] @ x[j]).item())[:5]
        shares.append(np.mean([j % 2 == i % 2 for j in nearest]))
    assert measure(rgb=z)["neighbours/rgb"] == pytest.approx(np.mean(shares))


def test_a_collapse_shows(measure: Callable[..., Row]) -> None:
    row = measure(rgb=maps(torch.ones(16, 4) / 2))
    assert (row["neighbours/rgb"], row["cosine_same/rgb"], row["cosine_other/rgb"]) == (0.5, 1, 1)


def test_what_no_pair_says_is_left_out(dataset: Path, settings: Callable[..., PretrainSettings]) -> None:
    few = ProbeVideos({"p0_0": 0}, {"p1_1": 1}, {"p0_0": "p0", "p1_1": "p1"})
    shards = {"rgb": ShardSet.of_folder(dataset / "shards" / "rgb")}
    networks: Any = {"rgb": Constructed(maps(torch.eye(2)))}
    row = Probe(few, shards, settings().clip, 4)(networks, torch.device("cpu"), "off")
    assert row == {"linear/rgb": 0, "knn/rgb": 0, "cosine_other/rgb": 0}
