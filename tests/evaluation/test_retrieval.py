from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cocon.config.schema import Retrieval
from cocon.datasets.manifest import Video
from cocon.evaluation import retrieval
from cocon.evaluation.features import Features
from cocon.evaluation.metrics import Task
from cocon.evaluation.scores import write_result
from cocon.evaluation.splits import labelled_split

MakeVideos = Callable[..., list[Video]]
MakeFeatures = Callable[..., Features]
MakeTask = Callable[..., Task]


def _slow_ranking(features: Features, query: str, gallery: list[str]) -> list[str]:
    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        return float(a @ b / np.sqrt((a @ a) * (b @ b)))

    q = features.encoder[features.rows[query]].astype(np.float64)
    values = [cosine(q, features.encoder[features.rows[video]].astype(np.float64)) for video in gallery]
    return [gallery[i] for i in sorted(range(len(gallery)), key=lambda i: -values[i])]


def test_agrees_with_a_slow_loop(
    make_videos: MakeVideos, make_features: MakeFeatures, make_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrieval, "_QUERIES_AT_ONCE", 7)
    videos = make_videos(15, 8)
    features = make_features(videos, np.eye(3, 5), 0.8)
    split = labelled_split(videos, "1")
    scores = retrieval.evaluate(make_task("retrieval"), split, features, Retrieval(ranks=(1, 3, 20)))
    assert scores.gallery_ids == list(split.train)
    assert scores.neighbours.shape == scores.similarity.shape == (24, 20)
    found = {1: 0, 3: 0, 20: 0}
    for row, query in enumerate(scores.ids):
        ranking = _slow_ranking(features, query, list(split.train))
        assert [scores.gallery_ids[i] for i in scores.neighbours[row]] == ranking[:20]
        for k in found:
            found[k] += any(split.train[video] == split.test[query] for video in ranking[:k])
    assert scores.hits().sum() == found[1]
    assert scores.recall() == {3: found[3] / 24, 20: found[20] / 24}


def test_recall_grows_with_k(
    make_videos: MakeVideos, make_features: MakeFeatures, make_task: MakeTask
) -> None:
    videos = make_videos(10, 30)
    features = make_features(videos, np.eye(3, 5), 2.0)
    settings = Retrieval(ranks=(1, 2, 3, 5, 8, 30))
    scores = retrieval.evaluate(make_task("retrieval"), labelled_split(videos, "1"), features, settings)
    values = [scores.hits().mean(), *scores.recall().values()]
    assert values == sorted(values)
    assert values[0] < values[2] < 1
    assert values[-1] == 1


def test_length_of_a_feature_does_not_matter(
    make_videos: MakeVideos, make_features: MakeFeatures, make_task: MakeTask
) -> None:
    videos = make_videos(6, 4)
    split = labelled_split(videos, "1")
    features = make_features(videos, np.eye(3, 5), 0.8)
    before = retrieval.evaluate(make_task("retrieval"), split, features, Retrieval())
    features.encoder[:] *= np.random.default_rng(0).uniform(0.1, 10, (len(features.ids), 1))
    after = retrieval.evaluate(make_task("retrieval"), split, features, Retrieval())
    np.testing.assert_array_equal(before.neighbours, after.neighbours)


def test_ties_go_to_the_earlier_video_and_zeros_are_harmless() -> None:
    indices, values = retrieval.nearest(np.ones((1, 2)), np.array([[0, 0], [1, 1], [2, 0], [1, 1]]), 3)
    np.testing.assert_array_equal(indices, [[1, 2, 3]])
    np.testing.assert_array_equal(values, [[2, 2, 2]])
    np.testing.assert_array_equal(retrieval._normalised(np.zeros((1, 3))), np.zeros((1, 3)))


def test_scores_on_disk_with_a_gallery_smaller_than_k(
    make_videos: MakeVideos, make_features: MakeFeatures, make_task: MakeTask, tmp_path: Path
) -> None:
    videos = make_videos(2, 4)
    present = [video for video in videos if video.id != "walk/test3"]
    features = make_features(present, 5 * np.eye(3, 8), 0.1)
    scores = retrieval.evaluate(make_task("retrieval"), labelled_split(videos, "1"), features, Retrieval())
    result = write_result(scores, tmp_path / "retrieval_split1.json", bootstrap=10)
    assert (result.top1, result.coverage) == (1.0, 11 / 12)
    assert result.recall == dict.fromkeys((5, 10, 20, 50), 1.0)
    with np.load(tmp_path / "retrieval_split1.npz") as arrays:
        assert arrays["neighbours"].shape == (11, 6)
        assert (np.diff(arrays["similarity"], axis=1) <= 0).all()
        nearest = arrays["gallery_ids"][arrays["neighbours"][:, 0]]
        assert [video.split("/")[0] for video in nearest] == [video.split("/")[0] for video in arrays["ids"]]


@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_a_collapsed_encoder_gives_chance(
    make_videos: MakeVideos, make_features: MakeFeatures, make_task: MakeTask, scale: float
) -> None:
    videos = make_videos(6, 4)
    features = make_features(videos, np.full((3, 5), scale), 0.0)
    scores = retrieval.evaluate(make_task("retrieval"), labelled_split(videos, "1"), features, Retrieval())
    scores.check()
    assert scores.hits().mean() == pytest.approx(1 / 3)
    np.testing.assert_allclose(scores.similarity, min(scale, 1.0), rtol=1e-6)
