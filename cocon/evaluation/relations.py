"""Nearest classes, and the agreement of the views on them (Rai et al. 2021, section 4.4).

The paper counts the classes whose nearest classes are the same in every view: 41 of UCF101's 101 classes
share at least 4 of their 5 nearest ones with CoCon, 10 with L_cpc alone.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from math import comb
from pathlib import Path
from typing import Any

import numpy as np

from cocon.config.schema import Relations
from cocon.errors import DatasetError
from cocon.evaluation.compared import Compared, check_head
from cocon.evaluation.features import Features
from cocon.evaluation.splits import Split
from cocon.loading import number, read_object, reading

log = logging.getLogger(__name__)
_SAME = 1e-9
"""Cosines closer to 1 count as equal to 1: the precision of float32 features."""


@dataclass(frozen=True)
class ClassRelations:
    """Class similarities in each view, and their agreement.

    Attributes:
        classes: names of the C classes.
        cosines: by view, cosine similarity of the classes' mean features, (C, C).
        nearest: by view, each class's k nearest other classes, best first, (C, k).
        shared: how many of its nearest classes each class has in common in all views, (C,).
        agreeing: number of classes for which that is at least the required number.
        collapsed: views in which all classes have the same mean: no class is nearer than another, so none has
            nearest classes in common with other views.
        chance: expectation of ``agreeing`` if every view ordered the classes at random.
    """

    classes: tuple[str, ...]
    cosines: Mapping[str, np.ndarray]
    nearest: Mapping[str, np.ndarray]
    shared: np.ndarray
    agreeing: int
    chance: float
    collapsed: tuple[str, ...] = ()


def relate(split: Split, features: Mapping[str, Features], settings: Relations) -> ClassRelations:
    """Compare the classes of the test videos that all views have.

    Args:
        split: labels of the test videos.
        features: features by view; ``encoder`` is used.
        settings: how many neighbours, and how many of them must be shared.

    Raises:
        DatasetError: if there are too few classes for so many neighbours.
    """
    common = set.intersection(*(set(view.rows) for view in features.values()))
    ids = [video for video in split.test if video in common]
    labels_N = np.array([split.test[video] for video in ids], dtype=np.int64)
    present = np.unique(labels_N)
    if len(present) <= settings.neighbours:
        raise DatasetError(
            f"{len(present)} classes have test videos in all views; {settings.neighbours} nearest other "
            "classes cannot be told apart",
            "lower evaluation.relations.neighbours",
        )
    cosines, nearest = {}, {}
    for view, table in features.items():
        means_CD = class_means(table.select("encoder", ids), labels_N)
        cosines[view] = means_CD @ means_CD.T
        nearest[view] = nearest_classes(cosines[view], settings.neighbours)
    collapsed = tuple(view for view, cosines_CC in cosines.items() if cosines_CC.min() > 1 - _SAME)
    shared_C = shared_neighbours(list(nearest.values()))
    if collapsed:
        log.warning("all classes have the same features in %s: nothing is nearest", ", ".join(collapsed))
        shared_C = np.zeros_like(shared_C)
    return ClassRelations(
        classes=tuple(split.classes[number] for number in present),
        cosines=cosines,
        nearest=nearest,
        shared=shared_C,
        agreeing=int((shared_C >= settings.shared).sum()),
        chance=len(present)
        * chance_of_sharing(len(present) - 1, len(features), settings.neighbours, settings.shared),
        collapsed=collapsed,
    )


def write_relations(path: Path, found: ClassRelations, compared: Compared) -> None:
    """Write the results as JSON, with the names of classes instead of numbers."""
    compared.write(
        path,
        {
            "classes": list(found.classes),
            "nearest": {
                view: [[found.classes[number] for number in row] for row in nearest_CK]
                for view, nearest_CK in found.nearest.items()
            },
            "cosines": {view: np.round(cosines, 4).tolist() for view, cosines in found.cosines.items()},
            "shared": found.shared.tolist(),
            "agreeing": found.agreeing,
            "chance": found.chance,
        },
    )


def read_relations(path: Path) -> dict[str, Any]:
    """Read what :func:`write_relations` wrote.

    Raises:
        DatasetError: if the file is missing or of another kind.
    """
    hint = "run `cocon relations` for it"
    with reading(path, "file of relations", DatasetError, missing=hint, damaged=hint):
        document = read_object(path)
        for key in ("agreeing", "chance"):
            number(document[key], low=0)
        check_head({"split": "1"} | document)  # files of 0.1.0 have no split
    return document


def class_means(x_ND: np.ndarray, labels_N: np.ndarray) -> np.ndarray:
    """Unit mean of each class's unit features, (C, D), for the labels that occur, in ascending order."""
    unit_ND = _unit(x_ND.astype(np.float64))
    return _unit(np.stack([unit_ND[labels_N == label].mean(0) for label in np.unique(labels_N)]))


def nearest_classes(cosines_CC: np.ndarray, k: int) -> np.ndarray:
    """Each class's k most similar other classes, best first, (C, k); ties by number."""
    others_CC = cosines_CC.copy()
    np.fill_diagonal(others_CC, -np.inf)
    return np.argsort(-others_CC, axis=1, kind="stable")[:, :k]


def shared_neighbours(nearest: list[np.ndarray]) -> np.ndarray:
    """For each class the size of the intersection of its neighbours in all views, (C,)."""
    return np.array([len(set.intersection(*map(set, rows))) for rows in zip(*nearest, strict=True)])


def chance_of_sharing(others: int, views: int, k: int, least: int) -> float:
    """Probability that ``views`` random k-subsets of ``others`` classes have ``least`` in common, or more."""
    sizes = np.zeros(k + 1)  # distribution of the size of the intersection so far
    sizes[k] = 1.0
    for _ in range(views - 1):
        following = np.zeros(k + 1)
        for size, probability in enumerate(sizes):
            for kept in range(size + 1):
                ways = comb(size, kept) * comb(others - size, k - kept)
                following[kept] += probability * ways / comb(others, k)
        sizes = following
    return float(sizes[least:].sum())


def _unit(x_ND: np.ndarray) -> np.ndarray:
    return np.asarray(x_ND / np.maximum(np.linalg.norm(x_ND, axis=1, keepdims=True), 1e-12))
