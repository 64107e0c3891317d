from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cocon.cli import main
from cocon.datasets.manifest import Video, write_manifest
from cocon.evaluation.features import Features, write_features
from cocon.files import read_json


@pytest.fixture
def folder(
    make_videos: Callable[..., list[Video]], make_features: Callable[..., Features], tmp_path: Path
) -> Path:
    """A folder ``demo`` with a manifest and features of two views; flow lacks one test video."""
    root = tmp_path / "demo"
    videos = make_videos(6, 4)
    write_manifest(root / "manifest.csv", videos)
    write_features(root / "rgb.h5", make_features(videos, 5 * np.eye(3, 8), 0.3))
    present = [video for video in videos if video.id != "run/test2"]
    write_features(root / "flow.h5", make_features(present, 5 * np.eye(3, 8), 0.3, view="flow"))
    return root


def _judge(folder: Path, protocol: str, view: str, *more: str) -> int:
    output = folder / view / f"{protocol}.json"
    paths = ["--manifest", str(folder / "manifest.csv"), "--features", str(folder / f"{view}.h5")]
    return main(["evaluate", "--protocol", protocol, *paths, "--split", "1", "--output", str(output), *more])


def _fuse(folder: Path, protocol: str, suffix: str, *more: str) -> int:
    inputs = [f"{view}={folder}/{view}{suffix}" for view in ("rgb", "flow")]
    output = folder / "ensemble" / f"{protocol}.json"
    return main(["ensemble", "--protocol", protocol, "--inputs", *inputs, "--output", str(output), *more])


def test_linear_and_its_ensemble(folder: Path) -> None:
    settings = '{"linear": {"inverse_regularisation": 1}, "bootstrap": 20}'
    assert _judge(folder, "linear", "rgb", "--settings", settings, "--seed", "4") == 0
    assert _judge(folder, "linear", "flow", "--settings", settings, "--seed", "4") == 0
    assert _fuse(folder, "linear", "/linear.npz", "--settings", '{"bootstrap": 20}') == 0
    rgb, fused = (read_json(folder / view / "linear.json") for view in ("rgb", "ensemble"))
    assert (rgb["dataset"], rgb["pretraining"], rgb["view"], rgb["seed"]) == ("demo", "cocon", "rgb", 4)
    assert (rgb["coverage"], fused["coverage"]) == (1.0, pytest.approx(11 / 12))
    assert (fused["view"], fused["top1"], fused["seed"]) == ("ensemble", 1.0, 4)


def test_retrieval_and_its_ensemble(folder: Path) -> None:
    assert _judge(folder, "retrieval", "rgb", "--settings", '{"retrieval": {"ranks": [1, 2]}}') == 0
    labels = ["--manifest", str(folder / "manifest.csv"), "--split", "1"]
    assert _fuse(folder, "retrieval", ".h5", *labels) == 0
    rgb, fused = (read_json(folder / view / "retrieval.json") for view in ("rgb", "ensemble"))
    assert set(rgb) - set(fused) == {"r2"}
    assert (fused["view"], fused["top1"], fused["r10"], fused["n"]) == ("ensemble", 1.0, 1.0, 11)


def test_rows_can_have_names_of_their_own(folder: Path) -> None:
    assert _judge(folder, "retrieval", "rgb", "--name", "near") == 0
    assert _judge(folder, "linear", "rgb", "--name", "strict") == 0
    labels = ["--manifest", str(folder / "manifest.csv"), "--split", "1"]
    assert _fuse(folder, "retrieval", ".h5", "--name", "near", *labels) == 0
    rows = [read_json(folder / name) for name in ("rgb/retrieval.json", "rgb/linear.json")]
    rows.append(read_json(folder / "ensemble/retrieval.json"))
    assert [row["protocol"] for row in rows] == ["near", "strict", "near"]


def _error(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err


def test_mistakes_get_a_sentence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _judge(folder, "linear", "rgb", "--settings", '{"linear": {"iterations": 3}}') == 2
    assert "unknown key 'linear.iterations'; did you mean 'max_iterations'?" in _error(capsys)
    assert _judge(folder, "linear", "pose") == 2
    assert "there is no file of features" in _error(capsys)
    assert _fuse(folder, "retrieval", ".h5") == 2
    assert "give --manifest and --split" in _error(capsys)
    assert _fuse(folder, "linear", "/linear.npz") == 2
    assert "there is no file of scores" in _error(capsys)
    assert _fuse(folder, "linear", ".h5") == 2
    assert "is not a file of scores" in _error(capsys)
    assert _judge(folder, "linear", "rgb") == 0
    swapped = f"flow={folder}/rgb/linear.npz"
    assert main(["ensemble", "--protocol", "linear", "--inputs", swapped, "--output", "x.json"]) == 2
    assert "the file given for the view flow holds the view rgb" in _error(capsys)


@pytest.mark.parametrize(
    ("inputs", "message"), [(["rgb"], "not of the form"), (["rgb=a", "rgb=b"], "rgb is given twice")]
)
def test_inputs_that_cannot_be_read(
    inputs: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ensemble", "--protocol", "linear", "--inputs", *inputs, "--output", "x.json"]) == 2
    assert message in _error(capsys)


def test_scores_of_another_task_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from cocon.evaluation.features import read_features

    flow = replace(read_features(folder / "flow.h5"), pretraining="random")
    write_features(folder / "flow.h5", flow)
    assert _judge(folder, "linear", "rgb") == _judge(folder, "linear", "flow") == 0
    assert _fuse(folder, "linear", "/linear.npz") == 2
    assert "the task of the views rgb and flow differ" in _error(capsys)


def test_protocols_on_features_do_not_load_torch() -> None:
    code = (
        "import sys; from cocon.evaluation import linear, retrieval, run, summary;"
        "assert 'torch' not in sys.modules and 'cv2' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_features_of_another_table_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = (folder / "manifest.csv").read_text().splitlines()
    (folder / "manifest.csv").write_text("\n".join([lines[0], *lines[2:]]) + "\n")
    for protocol in ("linear", "retrieval"):
        assert _judge(folder, protocol, "rgb") == 2
        assert "features of 1 videos that are not in the manifest" in _error(capsys)
    assert _fuse(folder, "retrieval", ".h5", "--manifest", str(folder / "manifest.csv"), "--split", "1") == 2
    assert "that are not in the manifest" in _error(capsys)
