"""What a protocol hands over per test video, from which accuracies, fusion and figures follow."""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from cocon.errors import DatasetError
from cocon.evaluation.metrics import Result, Task, interval
from cocon.evaluation.splits import Split
from cocon.files import atomic_path, write_json


class Scores(Protocol):
    """The interface of all scores: what `write_result` needs to know of them."""

    @property
    def task(self) -> Task:
        """What was judged."""
        ...

    @property
    def listed(self) -> int:
        """Number of videos in the test list, including those that could not be judged."""
        ...

    @property
    def chance(self) -> float:
        """Accuracy of a guess."""
        ...

    def hits(self) -> np.ndarray:
        """Whether each judged test video was classified correctly, bool (n,)."""
        ...

    def recall(self) -> dict[int, float]:
        """R@k by k, for protocols that have it."""
        ...

    def save(self, path: Path) -> None:
        """Write everything to an ``.npz`` file, atomically."""
        ...


@dataclass(frozen=True)
class ClassScores:
    """Probabilities of the classes, for each test video.

    Shapes: ``ids`` and ``labels`` (n,), ``probabilities`` (n, classes), float32, rows sum to 1.
    """

    task: Task
    ids: list[str]
    classes: tuple[str, ...]
    labels: np.ndarray
    probabilities: np.ndarray
    listed: int
    chance: float

    @classmethod
    def of(cls, task: Task, split: Split, ids: list[str], probabilities_NC: np.ndarray) -> ClassScores:
        """Scores of ``ids``, test videos of ``split``, with what else the split knows of them."""
        labels_N = np.array([split.test[video] for video in ids])
        return cls(task, ids, split.classes, labels_N, probabilities_NC, len(split.test), split.chance)

    def hits(self) -> np.ndarray:
        """Whether the most probable class is the right one, bool (n,)."""
        return np.asarray(self.probabilities.argmax(1) == self.labels)

    def recall(self) -> dict[int, float]:
        """Nothing: a classifier has no R@k."""
        return {}

    def save(self, path: Path) -> None:
        """Write ids, classes, labels, probabilities and what was judged to ``path``."""
        _save_arrays(
            path,
            self,
            ids=np.array(self.ids),
            classes=np.array(self.classes),
            labels=self.labels.astype(np.int64),
            probabilities=self.probabilities.astype(np.float32),
        )

    @classmethod
    def load(cls, path: Path) -> ClassScores:
        """Read what `save` wrote.

        Raises:
            DatasetError: The file is missing or holds no class probabilities.
        """
        arrays = _load_arrays(path, ("ids", "classes", "labels", "probabilities"))
        return cls(
            task=arrays["task"],
            ids=[str(video) for video in arrays["ids"]],
            classes=tuple(str(name) for name in arrays["classes"]),
            labels=arrays["labels"],
            probabilities=arrays["probabilities"],
            listed=int(arrays["listed"]),
            chance=float(arrays["chance"]),
        )


@dataclass(frozen=True)
class NeighbourScores:
    """The nearest training videos of each test video, best first.

    Shapes: ``ids``, ``labels`` (n,); ``gallery_ids``, ``gallery_labels`` (gallery,); ``neighbours``
    (n, k), index into the gallery; ``similarity`` (n, k), cosine (of an ensemble: weighted mean).
    """

    task: Task
    ids: list[str]
    gallery_ids: list[str]
    classes: tuple[str, ...]
    labels: np.ndarray
    gallery_labels: np.ndarray
    neighbours: np.ndarray
    similarity: np.ndarray
    ranks: tuple[int, ...]
    listed: int
    chance: float

    def _found_within(self, k: int) -> np.ndarray:
        same = self.gallery_labels[self.neighbours[:, :k]] == self.labels[:, None]
        return np.asarray(same.any(1))

    def hits(self) -> np.ndarray:
        """Whether the nearest training video has the right class (R@1), bool (n,)."""
        return self._found_within(1)

    def recall(self) -> dict[int, float]:
        """R@k for every reported k but 1: a video of the right class is among the k nearest."""
        return {k: float(self._found_within(k).mean()) for k in self.ranks if k > 1}

    def save(self, path: Path) -> None:
        """Write the neighbours, both lists of ids and labels and what was judged to ``path``."""
        _save_arrays(
            path,
            self,
            ids=np.array(self.ids),
            gallery_ids=np.array(self.gallery_ids),
            classes=np.array(self.classes),
            labels=self.labels.astype(np.int64),
            gallery_labels=self.gallery_labels.astype(np.int64),
            neighbours=self.neighbours.astype(np.int64),
            similarity=self.similarity.astype(np.float32),
        )


def write_result(scores: Scores, output: Path, bootstrap: int) -> Result:
    """Write ``output`` (.json, one row of metrics) and the scores beside it (.npz).

    Args:
        scores: What a protocol returned.
        output: Path of the ``.json`` file.
        bootstrap: Number of resamples for the 95 % interval.
    """
    hits_N = scores.hits()
    result = Result(
        task=scores.task,
        top1=float(hits_N.mean()),
        ci95=interval(hits_N, bootstrap, scores.task.seed),
        coverage=len(hits_N) / scores.listed,
        n=len(hits_N),
        chance=scores.chance,
        recall=scores.recall(),
    )
    scores.save(output.with_suffix(".npz"))
    write_json(output, result.row())
    return result


def _save_arrays(path: Path, scores: Scores, **arrays: np.ndarray) -> None:
    arrays["listed"] = np.array(scores.listed)
    arrays["coverage"] = np.array(len(arrays["ids"]) / scores.listed)
    arrays["chance"] = np.array(scores.chance)
    arrays["task"] = np.array(json.dumps(asdict(scores.task)))
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **arrays)


def _load_arrays(path: Path, needed: tuple[str, ...]) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays: dict[str, Any] = {key: archive[key] for key in (*needed, "listed", "chance")}
            arrays["task"] = Task(**json.loads(str(archive["task"])))
    except FileNotFoundError as error:
        raise DatasetError(f"there is no file of scores {path}", "run the protocol for this view") from error
    except (KeyError, ValueError, TypeError, OSError, zipfile.BadZipFile) as error:
        raise DatasetError(
            f"{path} does not hold class probabilities ({error})",
            "pass the .npz file that `cocon linear` or `cocon finetune` wrote for this view",
        ) from error
    return arrays
