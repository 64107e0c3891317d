"""Similarity of videos of one class, the claimed gain of cooperating views (Rai et al. 2021).

A contrastive loss pushes all other videos of a batch away, those of the same class as well: these are its
false negatives. An encoder that keeps them together has a higher cosine between videos of one class than
between others, and finds videos of the same class among the nearest ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cocon.errors import DatasetError
from cocon.evaluation.compared import Compared, check_head
from cocon.evaluation.features import Features
from cocon.evaluation.splits import Split
from cocon.loading import as_type, number, read_object, reading
from cocon.measures.neighbours import NEAREST, Pairs, mean_products, nearest_share


@dataclass(frozen=True)
class Likeness:
    """Similarity of the test videos of one class in a view; figures without a pair of videos are None.

    Attributes:
        same: mean cosine of pairs of videos of one class.
        other: mean cosine of pairs of videos of different classes.
        share: mean share of videos of the same class among the 5 nearest ones.
        chance: what ``share`` would be if the nearest ones were drawn at random.
        n: test videos that have another one of their class.
    """

    same: float | None
    other: float | None
    share: float | None
    chance: float | None
    n: int


def likeness(features: Features, split: Split, groups: Mapping[str, str], nearest: int = NEAREST) -> Likeness:
    """Compare every test video with those of other groups.

    Clips of a group (a film, a person) are not independent: UCF101's are cut from one video. If all test
    videos are one group, as in a fold, every video is its own group.

    Args:
        features: of a view; ``encoder`` is used.
        split: labels of the test videos.
        groups: group of each video; a video without one is its own group.
        nearest: number of neighbours.

    Raises:
        DatasetError: no test video has features, or one is not finite.
    """
    ids = [video for video in split.test if video in features.rows]
    if not ids:
        raise DatasetError(
            f"split {split.name}: none of the {len(split.test)} test videos has features",
            "look at the status of the videos in the shards: all of these were skipped",
        )
    x_ND = features.select("encoder", ids).astype(np.float64)
    x_ND /= np.maximum(np.linalg.norm(x_ND, axis=1, keepdims=True), 1e-12)
    pairs = Pairs.of([split.test[video] for video in ids], [groups.get(video) or video for video in ids])
    same, other = mean_products(x_ND, x_ND, pairs)
    share, chance, n = nearest_share(x_ND, pairs, nearest)
    return Likeness(same, other, share, chance, n)


def write_likeness(path: Path, found: Mapping[str, Likeness], compared: Compared) -> None:
    """Write what was found in each view as JSON."""
    views = {view: vars(of_view) for view, of_view in found.items()}
    compared.write(path, {"nearest": NEAREST, "views": views})


def read_likeness(path: Path) -> tuple[dict[str, Any], dict[str, Likeness]]:
    """Read the output of :func:`write_likeness`: the evaluated data, and the figures of each view.

    Raises:
        DatasetError: if the file is missing or of another kind.
    """
    hint = "run `cocon neighbours` for it"
    with reading(path, "file of neighbours", DatasetError, missing=hint, damaged=hint):
        document = read_object(path)
        check_head(document)
        found = as_type(dict[str, Likeness], document["views"])
        for of_view in found.values():
            for value, low in zip(vars(of_view).values(), (-1.001, -1.001, 0, 0), strict=False):
                if value is not None:
                    number(value, low, 1.001)
    return document, found
