"""Scores per test video, the output of a protocol; accuracies, fusion and figures use them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from cocon.evaluation.metrics import Result, Task, interval
from cocon.evaluation.score_file import read_probabilities, save_arrays
from cocon.evaluation.splits import Split
from cocon.files import write_json
from cocon.loading import as_type, check_finite, parse_object

_DIVERGED = "the training diverged, or the encoder is damaged: look at its loss, and lower the learning rate"


class Scores(Protocol):
    """The interface of all scores: used by `write_result`."""

    @property
    def task(self) -> Task:
        """The evaluated task."""
        ...

    @property
    def listed(self) -> int:
        """Number of videos in the test list, including those that could not be evaluated."""
        ...

    @property
    def chance(self) -> float:
        """Accuracy of a guess."""
        ...

    def hits(self) -> np.ndarray:
        """Whether each evaluated test video was classified correctly, bool (n,)."""
        ...

    def recall(self) -> dict[int, float]:
        """R@k by k, for protocols that have it."""
        ...

    def check(self) -> None:
        """Refuse numbers that are not finite, with the name of a video."""
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
        """Scores of ``ids``, test videos of ``split``, with their labels from the split."""
        labels_N = np.array([split.test[video] for video in ids])
        return cls(task, ids, split.classes, labels_N, probabilities_NC, len(split.test), split.chance)

    def hits(self) -> np.ndarray:
        """Whether the most probable class is the right one, bool (n,)."""
        return np.asarray(self.probabilities.argmax(1) == self.labels)

    def recall(self) -> dict[int, float]:
        """Nothing: a classifier has no R@k."""
        return {}

    def check(self) -> None:
        """Refuse probabilities that are not finite numbers.

        Raises:
            DatasetError: With a video that has such.
        """
        what = f"the probabilities of {self.task.protocol}, {self.task.pretraining}, {self.task.view},"
        check_finite(what, self.ids, self.probabilities, _DIVERGED)

    def save(self, path: Path) -> None:
        """Write ids, classes, labels, probabilities and the evaluated task to ``path``."""
        self.check()
        save_arrays(
            path,
            self.task,
            self.listed,
            self.chance,
            ids=np.array(self.ids),
            classes=np.array(self.classes),
            labels=self.labels.astype(np.int64),
            probabilities=self.probabilities.astype(np.float32),
        )

    @classmethod
    def load(cls, path: Path) -> ClassScores:
        """Read what `save` wrote, and check all of it.

        Raises:
            DatasetError: The file is missing, damaged or holds no class probabilities.
        """
        arrays = read_probabilities(path)
        return cls(
            task=as_type(Task, parse_object(str(arrays["task"]))),
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

    def check(self) -> None:
        """Refuse similarities that are not finite numbers.

        Raises:
            DatasetError: With a video that has such.
        """
        what = f"the similarities of {self.task.protocol}, {self.task.pretraining}, {self.task.view},"
        check_finite(what, self.ids, self.similarity, _DIVERGED)

    def save(self, path: Path) -> None:
        """Write the neighbours, both lists of ids and labels and the evaluated task to ``path``."""
        self.check()
        save_arrays(
            path,
            self.task,
            self.listed,
            self.chance,
            ids=np.array(self.ids),
            gallery_ids=np.array(self.gallery_ids),
            classes=np.array(self.classes),
            labels=self.labels.astype(np.int64),
            gallery_labels=self.gallery_labels.astype(np.int64),
            neighbours=self.neighbours.astype(np.int64),
            similarity=self.similarity.astype(np.float32),
        )


def write_result(scores: Scores, output: Path, bootstrap: int) -> Result:
    """Write ``output`` (.json, one row of metrics) and the scores next to it (.npz).

    Args:
        scores: What a protocol returned.
        output: Path of the ``.json`` file.
        bootstrap: Number of resamples for the 95 % interval.

    Raises:
        DatasetError: Scores are not finite; nothing is written then.
    """
    scores.check()
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
