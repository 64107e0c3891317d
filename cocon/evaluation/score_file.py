"""Reads and writes scores: a validated ``.npz`` file per protocol, pretraining and view.

:mod:`cocon.evaluation.scores` describes the arrays.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path

import numpy as np

from cocon.errors import DatasetError
from cocon.evaluation.metrics import Task
from cocon.files import atomic_path
from cocon.loading import (
    CHECKSUM,
    as_type,
    checksum_of_arrays,
    distinct,
    number,
    parse_object,
    read_npz,
    reading,
    require,
)

_SUM_OF_ROW = 1e-3  # tolerance of the sum of a video's probabilities


def save_arrays(path: Path, task: Task, listed: int, chance: float, **arrays: np.ndarray) -> None:
    """Write arrays with what was evaluated, and the checksum of all that, atomically.

    Args:
        path: The ``.npz`` file.
        task: What was evaluated.
        listed: Number of videos in the test list.
        chance: Accuracy of a guess.
        **arrays: The scores; ``ids`` is one of them.
    """
    arrays["listed"] = np.array(listed)
    arrays["coverage"] = np.array(len(arrays["ids"]) / listed)
    arrays["chance"] = np.array(chance)
    arrays["task"] = np.array(json.dumps(asdict(task)))
    arrays[CHECKSUM] = np.array(checksum_of_arrays(arrays))
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **arrays)


def read_scores(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file of scores, of a classifier or of neighbours, all of them checked.

    Raises:
        DatasetError: The file is missing, damaged or holds something else.
    """
    with _reading(path):
        arrays = _read(path)
        if "neighbours" in arrays:
            _neighbours(arrays)
        else:
            _probabilities(arrays)
    return arrays


def read_probabilities(path: Path) -> dict[str, np.ndarray]:
    """The same, of a classifier's file.

    Raises:
        DatasetError: The file is missing, damaged or holds no class probabilities.
    """
    with _reading(path):
        arrays = _read(path)
        _probabilities(arrays)
    return arrays


def hits_in(scores: Mapping[str, np.ndarray]) -> np.ndarray:
    """Whether each test video was classified correctly, bool (n,); of what `read_scores` returned."""
    if "neighbours" in scores:
        found_N = scores["gallery_labels"][scores["neighbours"][:, 0]]
    else:
        found_N = scores["probabilities"].argmax(1)
    return np.asarray(found_N == scores["labels"])


def _reading(path: Path) -> AbstractContextManager[None]:
    return reading(
        path,
        "file of scores",
        DatasetError,
        missing="run the protocol for this view",
        damaged="pass the .npz file that `cocon evaluate` or `cocon finetune` wrote for this view; "
        "if it is one, delete it and run the protocol again",
    )


def _read(path: Path) -> dict[str, np.ndarray]:
    """The arrays common to all scores, checked, and the others unchanged."""
    arrays = read_npz(path)
    for name in ("ids", "classes"):
        texts = arrays[name]
        arrays[name] = np.char.decode(texts, "utf-8", "replace") if texts.dtype.kind == "S" else texts
        distinct(require(arrays[name], name, "U", (None,)), f"the {name}")
    count = len(arrays["ids"])
    if not count:
        raise ValueError("it has no videos")
    _require_numbers(arrays, "labels", (count,), len(arrays["classes"]))
    number(arrays["listed"].item(), low=count)
    number(arrays["chance"].item(), 0, 1)
    as_type(Task, parse_object(str(arrays["task"])))
    return arrays


def _probabilities(arrays: Mapping[str, np.ndarray]) -> None:
    shape = len(arrays["ids"]), len(arrays["classes"])
    probabilities_NC = require(arrays["probabilities"], "probabilities", "f", shape)
    in_range = (probabilities_NC >= 0) & (probabilities_NC <= 1 + _SUM_OF_ROW)
    if not in_range.all() or not (abs(probabilities_NC.sum(1, dtype=np.float64) - 1) <= _SUM_OF_ROW).all():
        raise ValueError("'probabilities' are no probabilities")


def _neighbours(arrays: Mapping[str, np.ndarray]) -> None:
    gallery = len(distinct(require(arrays["gallery_ids"], "gallery_ids", "US", (None,)), "the gallery_ids"))
    _require_numbers(arrays, "gallery_labels", (gallery,), len(arrays["classes"]))
    _require_numbers(arrays, "neighbours", (len(arrays["ids"]), None), gallery)
    similarity = require(arrays["similarity"], "similarity", "f", arrays["neighbours"].shape)
    if not np.isfinite(similarity).all():
        raise ValueError("'similarity' has numbers that are not finite")


def _require_numbers(
    arrays: Mapping[str, np.ndarray], name: str, shape: tuple[int | None, ...], below: int
) -> None:
    numbers = require(arrays[name], name, "iu", shape)
    if numbers.size and (numbers.min() < 0 or numbers.max() >= below):
        raise ValueError(f"'{name}' has numbers outside of 0 to {below - 1}")
