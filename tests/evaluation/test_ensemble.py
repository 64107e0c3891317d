from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cocon.cli import main
from cocon.config.schema import Retrieval
from cocon.datasets.manifest import Video
from cocon.errors import ConfigError, DatasetError
from cocon.evaluation import retrieval
from cocon.evaluation.ensemble import fuse_features, fuse_probabilities
from cocon.evaluation.features import Features
from cocon.evaluation.metrics import Task
from cocon.evaluation.scores import ClassScores, write_result
from cocon.evaluation.splits import labelled_split

MakeVideos = Callable[..., list[Video]]
MakeFeatures = Callable[..., Features]
MakeTask = Callable[..., Task]


def _scores(view: str, rows: dict[str, tuple[int, list[float]]], listed: int = 4) -> ClassScores:
    """Scores from {id: (label, probabilities)}."""
    labels, probabilities = zip(*rows.values(), strict=True)
    task = Task("demo", "cocon", view, "linear", "1", 0)
    return ClassScores(
        task,
        list(rows),
        ("a", "b", "c"),
        np.array(labels),
        np.array(probabilities, np.float32),
        listed,
        1 / 3,
    )


#: sure and right about the first two videos, unsure and wrong about the others; and the other way round
RGB = {
    "v0": (0, [0.90, 0.05, 0.05]),
    "v1": (1, [0.05, 0.90, 0.05]),
    "v2": (2, [0.40, 0.30, 0.30]),
    "v3": (0, [0.30, 0.40, 0.30]),
}
FLOW = {
    "v0": (0, [0.30, 0.40, 0.30]),
    "v1": (1, [0.30, 0.30, 0.40]),
    "v2": (2, [0.05, 0.05, 0.90]),
    "v3": (0, [0.90, 0.05, 0.05]),
}


def test_views_that_complement_each_other_beat_both() -> None:
    rgb, flow = _scores("rgb", RGB), _scores("flow", FLOW)
    fused = fuse_probabilities({"rgb": rgb, "flow": flow}, {"rgb": 2.0, "flow": 2.0, "pose": 1.0})
    assert (rgb.hits().mean(), flow.hits().mean(), fused.hits().mean()) == (0.5, 0.5, 1.0)
    assert (fused.task.view, fused.task.pretraining) == ("ensemble", "cocon")
    np.testing.assert_allclose(fused.probabilities[0], [0.6, 0.225, 0.175], rtol=1e-6)


def test_weights_are_honoured() -> None:
    views = {"rgb": _scores("rgb", RGB), "flow": _scores("flow", FLOW)}
    fused = fuse_probabilities(views, {"rgb": 3.0, "flow": 1.0})
    np.testing.assert_allclose(fused.probabilities[2], [0.3125, 0.2375, 0.45], rtol=1e-6)
    alone = fuse_probabilities(views, {"rgb": 1.0, "flow": 0.0})
    np.testing.assert_allclose(alone.probabilities, views["rgb"].probabilities, rtol=1e-6)


def test_videos_that_a_view_lacks_or_orders_otherwise(tmp_path: Path) -> None:
    shuffled = {video: FLOW[video] for video in ("v3", "v0", "v2")}
    fused = fuse_probabilities(
        {"rgb": _scores("rgb", RGB), "flow": _scores("flow", shuffled)}, {"rgb": 1.0, "flow": 1.0}
    )
    assert fused.ids == ["v0", "v2", "v3"]
    np.testing.assert_array_equal(fused.labels, [0, 2, 0])
    assert fused.hits().all()
    result = write_result(fused, tmp_path / "x.json", bootstrap=10)
    assert (result.n, result.coverage) == (3, 0.75)


def test_scores_that_do_not_belong_together_are_refused() -> None:
    rgb, flow = _scores("rgb", RGB), _scores("flow", FLOW)
    weights = {"rgb": 1.0, "flow": 1.0}
    other = replace(flow, task=replace(flow.task, pretraining="random"))
    with pytest.raises(DatasetError, match="the task of the views rgb and flow differ"):
        fuse_probabilities({"rgb": rgb, "flow": other}, weights)
    with pytest.raises(DatasetError, match="the classes of"):
        fuse_probabilities({"rgb": rgb, "flow": replace(flow, classes=("a", "c", "b"))}, weights)
    with pytest.raises(DatasetError, match="the labels of"):
        fuse_probabilities({"rgb": rgb, "flow": replace(flow, labels=flow.labels[::-1])}, weights)
    with pytest.raises(DatasetError, match="the test list of"):
        fuse_probabilities({"rgb": rgb, "flow": replace(flow, listed=5)}, weights)
    strangers = _scores("flow", {"w0": (0, [1.0, 0.0, 0.0])})
    with pytest.raises(DatasetError, match="no test video has scores in all of: rgb, flow"):
        fuse_probabilities({"rgb": rgb, "flow": strangers}, weights)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"rgb": 1.0}, "no weight for: flow"),
        ({"rgb": 1.0, "flow": -1.0}, "not usable"),
        ({"rgb": 0.0, "flow": 0.0}, "not usable"),
        ({"rgb": 1.0, "flow": float("nan")}, r"not usable \(look at flow\)"),
        ({"rgb": float("inf"), "flow": 1.0}, r"not usable \(look at rgb\)"),
        ({"rgb": 1e308, "flow": 1e308}, "not usable"),
    ],
)
def test_weights_that_make_no_sense(weights: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fuse_probabilities({"rgb": _scores("rgb", RGB), "flow": _scores("flow", FLOW)}, weights)


@pytest.fixture
def complementary(make_videos: MakeVideos, make_features: MakeFeatures) -> dict[str, Features]:
    """rgb cannot tell jump from run, flow cannot tell run from walk."""
    videos = make_videos(8, 20)
    rgb_CD = np.array([[1.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    flow_CD = np.array([[1.0, 0, 0], [0, 1, 0], [0, 1, 0]])
    return {
        "rgb": make_features(videos, rgb_CD, 0.15, seed=1, view="rgb"),
        "flow": make_features(videos, flow_CD, 0.15, seed=2, view="flow"),
    }


def test_retrieval_adds_cosines(
    make_videos: MakeVideos, make_task: MakeTask, complementary: dict[str, Features]
) -> None:
    split = labelled_split(make_videos(8, 20), "1")
    task = make_task("retrieval")
    fused = fuse_features("retrieval", task, split, complementary, {"rgb": 2.0, "flow": 2.0}, Retrieval())
    alone = [
        retrieval.evaluate(task, split, features, Retrieval()).hits().mean()
        for features in complementary.values()
    ]
    assert max(alone) < 0.8
    assert fused.hits().all()
    assert fused.task.view == "ensemble"

    def cosine(features: Features, a: str, b: str) -> float:
        x, y = features.select("encoder", [a, b]).astype(np.float64)
        return float(x @ y / np.linalg.norm(x) / np.linalg.norm(y))

    best = fused.gallery_ids[fused.neighbours[5, 0]]
    expected = np.mean([cosine(features, fused.ids[5], best) for features in complementary.values()])
    assert fused.similarity[5, 0] == pytest.approx(expected, rel=1e-5)


def test_retrieval_with_one_weight_is_that_view(
    make_videos: MakeVideos, make_task: MakeTask, complementary: dict[str, Features]
) -> None:
    split = labelled_split(make_videos(8, 20), "1")
    fused = fuse_features(
        "retrieval", make_task("retrieval"), split, complementary, {"rgb": 0.0, "flow": 1.0}, Retrieval()
    )
    alone = retrieval.evaluate(make_task("retrieval"), split, complementary["flow"], Retrieval())
    np.testing.assert_array_equal(fused.neighbours, alone.neighbours)


def test_retrieval_refuses_features_of_two_pretrainings(
    make_videos: MakeVideos, make_task: MakeTask, complementary: dict[str, Features]
) -> None:
    views = {**complementary, "flow": replace(complementary["flow"], pretraining="random")}
    with pytest.raises(DatasetError, match="the pretraining of the views"):
        fuse_features(
            "retrieval",
            make_task("retrieval"),
            labelled_split(make_videos(8, 20), "1"),
            views,
            {"rgb": 1.0, "flow": 1.0},
            Retrieval(),
        )


def test_views_whose_scores_are_not_finite_are_named() -> None:
    rgb, flow = _scores("rgb", RGB), _scores("flow", FLOW)
    flow.probabilities[1] = np.nan
    with pytest.raises(DatasetError, match=r"cocon, flow, are not finite numbers for 1 of 4 videos, 'v1'"):
        fuse_probabilities({"rgb": rgb, "flow": flow}, {"rgb": 1.0, "flow": 0.0})


@pytest.mark.parametrize("weight", ["NaN", "Infinity", "-1", "0"])
def test_the_command_refuses_weights_before_it_writes(
    tmp_path: Path, weight: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _scores("rgb", RGB).save(tmp_path / "rgb.npz")
    arguments = ["ensemble", "--protocol", "linear", "--inputs", f"rgb={tmp_path / 'rgb.npz'}"]
    arguments += ["--output", str(tmp_path / "x.json"), "--settings", f'{{"ensemble": {{"rgb": {weight}}}}}']
    assert main(arguments) == 2
    assert "ensemble" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["rgb.npz"]
