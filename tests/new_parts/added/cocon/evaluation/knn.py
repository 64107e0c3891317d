"""The vote of the nearest training videos."""

from __future__ import annotations

import numpy as np

from cocon.config.schema.protocols import Knn
from cocon.evaluation.features import Features
from cocon.evaluation.metrics import Task
from cocon.evaluation.scores import ClassScores
from cocon.evaluation.splits import Split


def evaluate(task: Task, split: Split, features: Features, settings: Knn) -> ClassScores:
    """The part of the k nearest training videos that each class has."""
    gallery, queries = split.available(features.rows)
    gallery_MD, query_ND = (features.select("encoder", ids) for ids in (gallery, queries))
    distances_NM = ((query_ND[:, None] - gallery_MD[None]) ** 2).sum(-1)
    labels_M = np.array([split.train[video] for video in gallery])
    nearest_NK = labels_M[distances_NM.argsort(1, kind="stable")[:, : settings.k]]
    probabilities_NC = np.stack(
        [(nearest_NK == label).mean(1) for label in range(len(split.classes))], axis=1
    ).astype(np.float32)
    return ClassScores.of(task, split, list(queries), probabilities_NC)
