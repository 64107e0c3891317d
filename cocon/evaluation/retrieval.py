"""Retrieval of training videos of the same class by nearest neighbours (R@k of MemDPC and CoCLR)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cocon.config.schema import Retrieval
from cocon.evaluation.features import Features
from cocon.evaluation.metrics import Task
from cocon.evaluation.scores import NeighbourScores
from cocon.evaluation.splits import Split

KEPT_NEIGHBOURS = 10
_QUERIES_AT_ONCE = 256


def evaluate(task: Task, split: Split, features: Features, settings: Retrieval) -> NeighbourScores:
    """Rank the training videos by cosine similarity to each test video.

    Raises:
        DatasetError: Too few videos or classes (see `Split.available`), or features that are not finite.
    """
    return evaluate_views(task, split, {features.view: features}, {features.view: 1.0}, settings)


def evaluate_views(
    task: Task,
    split: Split,
    features: Mapping[str, Features],
    weights: Mapping[str, float],
    settings: Retrieval,
) -> NeighbourScores:
    """Rank by the weighted mean of the views' cosine similarities, over the videos all views have.

    Args:
        task: What is evaluated.
        split: Gallery (training videos) and queries (test videos).
        features: Features by view.
        weights: Weight of each view; at least one is positive.
        settings: The ranks to report.

    Raises:
        DatasetError: Too few videos or classes are in all views, or features are not finite.
    """
    common = set.intersection(*(set(view.rows) for view in features.values()))
    gallery, queries = split.available(common)
    pairs = [
        (
            _normalised(view.select("encoder", queries)),
            _normalised(view.select("encoder", gallery)) * (weights[name] / sum(weights.values())),
        )
        for name, view in features.items()
    ]
    # Side by side, the dot product of two rows is the weighted mean of the cosines.
    query_ND = np.concatenate([query for query, _ in pairs], axis=1)
    gallery_MD = np.concatenate([scaled for _, scaled in pairs], axis=1)
    neighbours, similarity = nearest(query_ND, gallery_MD, max(KEPT_NEIGHBOURS, *settings.ranks))
    return NeighbourScores(
        task=task,
        ids=queries,
        gallery_ids=gallery,
        classes=split.classes,
        labels=np.array([split.test[video] for video in queries]),
        gallery_labels=np.array([split.train[video] for video in gallery]),
        neighbours=neighbours,
        similarity=similarity,
        ranks=settings.ranks,
        listed=len(split.test),
        chance=split.chance,
    )


def nearest(query_ND: np.ndarray, gallery_MD: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k gallery rows of largest dot product with each query, best first, ties by index.

    A gallery of fewer than k rows is returned whole.

    Returns:
        Indices (N, k) int64 and dot products (N, k) float32.
    """
    k = min(k, len(gallery_MD))
    indices, values = [], []
    for start in range(0, len(query_ND), _QUERIES_AT_ONCE):
        similarity_QM = query_ND[start : start + _QUERIES_AT_ONCE] @ gallery_MD.T
        candidates_QK = np.sort(np.argpartition(-similarity_QM, k - 1, axis=1)[:, :k], axis=1)
        kept_QK = np.take_along_axis(similarity_QM, candidates_QK, axis=1)
        order_QK = np.argsort(-kept_QK, axis=1, kind="stable")
        indices.append(np.take_along_axis(candidates_QK, order_QK, axis=1))
        values.append(np.take_along_axis(kept_QK, order_QK, axis=1))
    return np.concatenate(indices).astype(np.int64), np.concatenate(values).astype(np.float32)


def _normalised(x_ND: np.ndarray) -> np.ndarray:
    return np.asarray(x_ND / np.maximum(np.linalg.norm(x_ND, axis=1, keepdims=True), 1e-12))
