"""A baseline that predicts labels from the frame size alone.

Where a class comes from other cameras than the rest, its videos may have other sizes; a network sees the
aspect ratio, and much of the size, of what it is given. A logistic regression on these two numbers is the
baseline for such data sets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cocon.errors import DatasetError
from cocon.evaluation.splits import Split
from cocon.files import write_json
from cocon.loading import as_type, number, read_object, reading

NAME = "frame size"


@dataclass(frozen=True)
class FrameSize:
    """Accuracy of logistic regression on log aspect ratio and log size, on the test videos of a split.

    Attributes:
        split: its name.
        sizes: number of different sizes (width and height) of training and test videos.
        top1: accuracy.
        n: test videos.
    """

    split: str
    sizes: int
    top1: float
    n: int


def classes_by_size(split: Split, sizes: Mapping[str, tuple[int, int]]) -> FrameSize:
    """Fit it on the training videos.

    Args:
        split: labels.
        sizes: width and height in px by video.

    Raises:
        DatasetError: no training or test video has a size.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    train, test = split.available(sizes)
    different = len({sizes[video] for video in (*train, *test)})
    x_train_N2, x_test_N2 = (_numbers([sizes[video] for video in ids]) for ids in (train, test))
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    classifier.fit(x_train_N2, [split.train[video] for video in train])
    right = classifier.predict(x_test_N2) == [split.test[video] for video in test]
    return FrameSize(split.name, different, float(np.mean(right)), len(test))


def _numbers(sizes: list[tuple[int, int]]) -> np.ndarray:
    """Logarithms of aspect ratio and of the geometric mean of width and height, (N, 2)."""
    width_N, height_N = np.log(np.array(sizes, float)).T
    return np.stack([width_N - height_N, (width_N + height_N) / 2], 1)


def write_frame_size(path: Path, found: FrameSize) -> None:
    """Write it as JSON."""
    write_json(path, asdict(found))


def read_frame_size(path: Path) -> FrameSize:
    """Read what :func:`write_frame_size` wrote.

    Raises:
        DatasetError: if the file is missing or of another kind.
    """
    hint = "run `cocon sizes` for it"
    with reading(path, "file of `cocon sizes`", DatasetError, missing=hint, damaged=hint):
        found = as_type(FrameSize, read_object(path))
        number(found.top1, 0, 1)
    return found
