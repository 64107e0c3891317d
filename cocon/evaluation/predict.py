"""Predicts labels of videos with trained classifiers; fuses several views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cocon.config.schema.training import Workers
from cocon.errors import CheckpointError, DatasetError
from cocon.evaluation.classifier_file import load_classifier
from cocon.evaluation.ensemble import view_weights
from cocon.evaluation.finetune import class_probabilities
from cocon.evaluation.windows import usable_videos
from cocon.files import write_csv
from cocon.shards import ShardSet


@dataclass(frozen=True)
class Predictions:
    """Probabilities (n, classes) of n videos; ``left_out`` are videos that some view lacks."""

    ids: list[str]
    classes: tuple[str, ...]
    probabilities: np.ndarray
    left_out: list[str]


def predict(
    classifiers: Mapping[str, Path],
    shards: Path,
    weights: Mapping[str, float],
    *,
    device: torch.device,
    batch_size: int = 16,
    workers: Workers = 0,
    shard_count: int | None = None,
) -> Predictions:
    """Classify every video of the shards: the weighted mean of the views' mean softmax over windows.

    Args:
        classifiers: File of a classifier by view.
        shards: Folder with one folder of shards per view.
        weights: Weight by view.
        device: Where to compute.
        batch_size: Windows per forward pass.
        workers: Processes that decode; 0: this one; auto: several on a GPU.
        shard_count: Shards of a view; None: all that are there.

    Raises:
        CheckpointError: A classifier is missing, something else, or has other classes than another one.
        ConfigError: A view has no usable weight.
        DatasetError: No video is usable in all views.
    """
    chosen = view_weights(classifiers, weights)
    loaded = {view: load_classifier(path, view=view) for view, path in classifiers.items()}
    first, *others = ((view, info.classes) for view, (_, info) in loaded.items())
    for view, classes in others:
        if classes != first[1]:
            raise CheckpointError(
                f"the classifiers of {first[0]} and {view} have different classes",
                "give classifiers of the same data set",
            )
    sets = {view: ShardSet.of_folder(shards / view, shard_count) for view in classifiers}
    listed = list(dict.fromkeys(video for shard_set in sets.values() for video in shard_set.videos))
    ids = listed
    for shard_set in sets.values():
        ids = usable_videos(shard_set, ids)
    if not ids:
        raise DatasetError(
            f"none of the {len(listed)} videos is usable in all of: {', '.join(classifiers)}",
            "look at the status rows of the shards: `cocon shards info`",
        )
    total_NC = np.zeros((len(ids), len(first[1])))
    for view, (classifier, info) in loaded.items():
        total_NC += chosen[view] * class_probabilities(
            classifier.to(device),
            sets[view],
            ids,
            info.clip,
            device=device,
            batch_size=batch_size,
            workers=workers,
        )
    left_out = [video for video in listed if video not in set(ids)]
    return Predictions(ids, first[1], total_NC / sum(chosen.values()), left_out)


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write a table with a row per video: its label, the label's probability, and those of all classes."""
    rows = [
        {"video": video, "label": predictions.classes[int(row.argmax())], "probability": f"{row.max():.4f}"}
        | {f"p_{name}": f"{value:.4f}" for name, value in zip(predictions.classes, row, strict=True)}
        for video, row in zip(predictions.ids, predictions.probabilities, strict=True)
    ]
    write_csv(path, rows, list(rows[0]))
