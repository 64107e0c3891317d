from __future__ import annotations

import json

import numpy as np
import pytest

from cocon.errors import AssetError
from cocon.files import write_csv
from view_extractors import comparison
from view_extractors.base import Resources
from view_extractors.cli import main
from view_extractors.comparison import compare
from view_extractors.flow.dis import Dis

FRAMES, HEIGHT, WIDTH = 4, 96, 128


@pytest.fixture
def known(tmp_path, moving, write_video):
    """Two videos that move left by 2 px, with their truth, and the manifest."""
    rows = []
    for name in ("a", "b"):
        path = write_video(tmp_path / f"{name}.mp4", moving(FRAMES, HEIGHT, WIDTH, step=2))
        rows.append({"id": name, "path": str(path)})
        flow = np.zeros((2, HEIGHT, WIDTH, 2), np.int16)
        flow[..., 0] = -2 * 64
        mask = np.zeros((FRAMES, HEIGHT, WIDTH), bool)
        mask[:, 30:60, 40:80] = True
        (tmp_path / "truth").mkdir(exist_ok=True)
        np.savez_compressed(
            tmp_path / "truth" / f"{name}.npz",
            mask_packed=np.packbits(mask, axis=-1),
            size=np.array([HEIGHT, WIDTH], np.int32),
            flow_index=np.array([0, 2], np.int32),
            flow=flow,
        )
    rows.append({"id": "unknown", "path": "nowhere.mp4"})
    write_csv(tmp_path / "manifest.csv", rows, ["id", "path"])
    return tmp_path


@pytest.fixture
def two_methods(monkeypatch):
    methods = {name: f"view_extractors.flow.{name}:{name.title()}" for name in ("dis", "farneback")}
    monkeypatch.setitem(comparison.EXTRACTORS, "flow", methods)


def test_every_backend_is_measured_against_the_truth(known, two_methods, capsys):
    arguments = ["--manifest", str(known / "manifest.csv"), "--truth", str(known / "truth")]
    assert main(["compare", *arguments, "--views", "flow", "--output", str(known / "out.json")]) == 0
    written = json.loads((known / "out.json").read_text())
    assert written["videos"] == ["a", "b"]
    assert [row["backend"] for row in written["backends"]] == ["dis", "farneback"]
    for row in written["backends"]:
        assert row["figures"]["videos"] == 2
        stored_motion = 2 * 150 / HEIGHT
        assert row["figures"]["end-point error, still"] == pytest.approx(stored_motion)
        assert row["figures"]["end-point error on the person"] < 0.1 * stored_motion
        assert row["ms_per_frame"] > 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == ["dis", "farneback"]


def test_a_backend_that_cannot_run_is_named_and_the_others_go_on(known, two_methods, monkeypatch):
    def fail(self, resources):
        raise AssetError("the weights are nowhere")

    monkeypatch.setattr(Dis, "prepare", fail)
    monkeypatch.setattr(
        comparison, "to_install", lambda name: "pip install it" if name == "farneback" else ""
    )
    rows = list(compare({"a": known / "a.mp4"}, known / "truth", ["flow"], Resources()))
    assert [row.absent for row in rows] == ["the weights are nowhere", "not installed: pip install it"]


def test_videos_without_a_truth_are_an_error(known, capsys):
    arguments = ["--manifest", str(known / "manifest.csv"), "--truth", str(known / "elsewhere")]
    assert main(["compare", *arguments]) == 2
    assert "has its truth in" in capsys.readouterr().err
