from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cocon.config.schema import Linear
from cocon.datasets.manifest import Video
from cocon.evaluation import linear
from cocon.evaluation.features import Features
from cocon.evaluation.metrics import Task
from cocon.evaluation.scores import ClassScores, write_result
from cocon.evaluation.splits import labelled_split
from cocon.files import read_json

MakeVideos = Callable[..., list[Video]]
MakeFeatures = Callable[..., Features]
MakeTask = Callable[..., Task]


def test_separable_classes_are_told_apart(
    make_videos: MakeVideos, make_features: MakeFeatures, make_task: MakeTask
) -> None:
    videos = make_videos(6, 4)
    features = make_features(videos, 5 * np.eye(3, 8), 0.3)
    scores = linear.evaluate(make_task(), labelled_split(videos, "1"), features, Linear())
    assert scores.hits().all()
    assert scores.probabilities.shape == (12, 3)
    np.testing.assert_allclose(scores.probabilities.sum(1), 1, rtol=1e-5)


def test_features_without_information_give_chance(
    make_videos: MakeVideos, make_features: MakeFeatures, make_task: MakeTask
) -> None:
    videos = make_videos(20, 100)
    features = make_features(videos, np.zeros((3, 6)), 1.0)
    scores = linear.evaluate(make_task(), labelled_split(videos, "1"), features, Linear())
    # 300 fair guesses among three classes: a standard deviation is 0.027.
    assert scores.hits().mean() == pytest.approx(1 / 3, abs=0.1)
    assert scores.chance == pytest.approx(1 / 3)


def test_context_alone_suffices(
    make_videos: MakeVideos, make_features: MakeFeatures, make_task: MakeTask
) -> None:
    videos = make_videos(6, 4)
    features = make_features(videos, 5 * np.eye(3, 8), 0.3)
    features.encoder[:] = 0
    features.encoder_max[:] = 0
    scores = linear.evaluate(make_task(), labelled_split(videos, "1"), features, Linear())
    assert scores.hits().all()


def test_weaker_regularisation_gives_surer_answers(
    make_videos: MakeVideos, make_features: MakeFeatures, make_task: MakeTask
) -> None:
    videos = make_videos(6, 4)
    features = make_features(videos, 5 * np.eye(3, 8), 0.3)
    split = labelled_split(videos, "1")
    shy, sure = (
        linear.evaluate(make_task(), split, features, Linear(inverse_regularisation=c)).probabilities
        for c in (1e-3, 10.0)
    )
    assert shy.max() < 0.6 < sure.max(1).min()


def test_too_few_iterations_are_reported(
    make_videos: MakeVideos,
    make_features: MakeFeatures,
    make_task: MakeTask,
    caplog: pytest.LogCaptureFixture,
) -> None:
    videos = make_videos(20, 1)
    features = make_features(videos, np.zeros((3, 6)), 1.0)
    with caplog.at_level(logging.WARNING):
        linear.evaluate(make_task(), labelled_split(videos, "1"), features, Linear(max_iterations=1))
    assert "did not converge in 1 iterations" in caplog.text


def test_missing_videos_lower_the_coverage_not_the_accuracy(
    make_videos: MakeVideos, make_features: MakeFeatures, make_task: MakeTask, tmp_path: Path
) -> None:
    videos = make_videos(6, 4)
    present = [video for video in videos if video.id not in ("run/test0", "walk/test1", "walk/test2")]
    features = make_features(present, 5 * np.eye(3, 8), 0.3)
    scores = linear.evaluate(make_task(), labelled_split(videos, "1"), features, Linear())
    result = write_result(scores, tmp_path / "linear_split1.json", bootstrap=100)
    assert (result.top1, result.n, result.coverage, result.chance) == (1.0, 9, 0.75, 1 / 3)
    assert read_json(tmp_path / "linear_split1.json") == result.row()
    read = ClassScores.load(tmp_path / "linear_split1.npz")
    assert (read.task, read.ids, read.classes, read.listed) == (scores.task, scores.ids, scores.classes, 12)
    np.testing.assert_array_equal(read.probabilities, scores.probabilities)


def test_class_without_training_video_counts_as_wrong(
    make_videos: MakeVideos, make_features: MakeFeatures, make_task: MakeTask
) -> None:
    videos = [video for video in make_videos(6, 4) if not video.id.startswith("run/train")]
    features = make_features(videos, 5 * np.eye(3, 8), 0.3)
    scores = linear.evaluate(make_task(), labelled_split(videos, "1"), features, Linear())
    assert scores.hits().mean() == pytest.approx(2 / 3)
    np.testing.assert_array_equal(scores.probabilities[:, 1], 0)


def test_class_with_one_training_video(
    make_videos: MakeVideos, make_features: MakeFeatures, make_task: MakeTask
) -> None:
    videos = [video for video in make_videos(6, 4) if video.id not in {f"run/train{i}" for i in range(1, 6)}]
    features = make_features(videos, 5 * np.eye(3, 8), 0.1)
    scores = linear.evaluate(make_task(), labelled_split(videos, "1"), features, Linear())
    assert scores.hits().all()


@pytest.mark.parametrize("scale", [0.0, 1.0, 3e38])
def test_a_collapsed_encoder_gives_chance(
    make_videos: MakeVideos, make_features: MakeFeatures, make_task: MakeTask, scale: float
) -> None:
    videos = make_videos(6, 4)
    features = make_features(videos, np.full((3, 5), scale), 0.0)
    scores = linear.evaluate(make_task(), labelled_split(videos, "1"), features, Linear())
    scores.check()
    np.testing.assert_allclose(scores.probabilities, 1 / 3, rtol=1e-3)
    assert scores.hits().mean() == pytest.approx(1 / 3)
