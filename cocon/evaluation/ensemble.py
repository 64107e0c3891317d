"""Late fusion: a weighted mean over views, on the test videos that all views have."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

import numpy as np

from cocon.config.schema import Section
from cocon.errors import ConfigError, DatasetError
from cocon.evaluation.features import Features
from cocon.evaluation.metrics import Task
from cocon.evaluation.scores import ClassScores, Scores
from cocon.evaluation.splits import Split
from cocon.protocols import PROTOCOLS

VIEW = "ensemble"
ValueT = TypeVar("ValueT")


def view_weights(views: Mapping[str, object], weights: Mapping[str, float]) -> dict[str, float]:
    """The weights of ``views``, checked.

    Raises:
        ConfigError: A weight is missing, negative or not finite, or no weight is positive.
    """
    missing = [view for view in views if view not in weights]
    if missing:
        raise ConfigError(
            f"evaluation.ensemble has no weight for: {', '.join(missing)}",
            "add the view there",
        )
    chosen = {view: weights[view] for view in views}
    wrong = [view for view, weight in chosen.items() if not 0 <= weight < math.inf]
    if wrong or not 0 < sum(chosen.values()) < math.inf:
        whose = f" (look at {', '.join(wrong)})" if wrong else ""
        raise ConfigError(
            f"evaluation.ensemble: the weights {chosen} are not usable{whose}",
            "weights must be finite and not negative, and at least one must be above 0",
        )
    return chosen


def fuse_features(
    protocol: str,
    task: Task,
    split: Split,
    features: Mapping[str, Features],
    weights: Mapping[str, float],
    settings: Section,
) -> Scores:
    """Evaluate the joined features of all views by the protocol.

    Raises:
        ConfigError: See `view_weights`.
        DatasetError: The features come from different pretrainings, or too few videos have all views.
    """
    chosen = view_weights(features, weights)
    pretraining = _common("pretraining", {view: f.pretraining for view, f in features.items()})
    task = replace(task, pretraining=pretraining, view=VIEW)
    scores: Scores = PROTOCOLS[protocol].load_joined()(task, split, features, chosen, settings)
    return scores


def fuse_probabilities(scores: Mapping[str, ClassScores], weights: Mapping[str, float]) -> ClassScores:
    """Weighted mean of class probabilities.

    Args:
        scores: Scores by view, of one pretraining and protocol.
        weights: Weight by view.

    Raises:
        ConfigError: See `view_weights`.
        DatasetError: The scores are not finite, are of different tasks, classes or labels, or share no video.
    """
    chosen = view_weights(scores, weights)
    for of_view in scores.values():
        of_view.check()
    task = _common("task", {v: replace(s.task, view=VIEW) for v, s in scores.items()})
    classes = _common("classes", {v: s.classes for v, s in scores.items()})
    _common("test list", {v: s.listed for v, s in scores.items()})
    first, *others = scores.values()
    common = set(first.ids).intersection(*(other.ids for other in others))
    ids = [video for video in first.ids if video in common]
    if not ids:
        raise DatasetError(
            f"no test video has scores in all of: {', '.join(scores)}",
            "leave out the view with the most missing videos (see `cocon shards show --status`)",
        )
    rows = {view: _rows(s, ids) for view, s in scores.items()}
    _common("labels", {view: tuple(s.labels[rows[view]]) for view, s in scores.items()})
    weighted_VNC = np.stack([chosen[view] * s.probabilities[rows[view]] for view, s in scores.items()])
    return ClassScores(
        task=task,
        ids=ids,
        classes=classes,
        labels=first.labels[rows[next(iter(scores))]],
        probabilities=(weighted_VNC.sum(0) / sum(chosen.values())).astype(np.float32),
        listed=first.listed,
        chance=first.chance,
    )


def _rows(scores: ClassScores, ids: list[str]) -> list[int]:
    row = {video: index for index, video in enumerate(scores.ids)}
    return [row[video] for video in ids]


def _common(what: str, values: Mapping[str, ValueT]) -> ValueT:
    (view, value), *others = values.items()
    for other_view, other in others:
        if other != value:
            raise DatasetError(
                f"the {what} of the views {view} and {other_view} differ, so they cannot be fused",
                "pass files of the same data set, split, pretraining, protocol and seed",
            )
    return value
