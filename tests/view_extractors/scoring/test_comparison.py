from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from cocon.backends import BACKENDS
from cocon.config.schema import MaskExtraction, PoseExtraction
from cocon.errors import AssetError
from cocon.files import write_csv
from view_extractors.base import Extractor, Resources
from view_extractors.cli import main
from view_extractors.flow.dis import Dis
from view_extractors.scoring import comparison
from view_extractors.scoring.comparison import Comparison, Known, compare, table

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


def only(monkeypatch, view, name):
    """One backend of the view: a class of this module."""
    entry = replace(BACKENDS[view]["blazepose"], path=f"{__name__}:{name}")
    monkeypatch.setitem(BACKENDS, view, {"blazepose": entry})


@pytest.fixture
def two_methods(monkeypatch):
    methods = {name: BACKENDS["flow"][name] for name in ("dis", "farneback")}
    monkeypatch.setitem(BACKENDS, "flow", methods)


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
        comparison, "to_install", lambda entry: "pip install it" if entry.name == "farneback" else ""
    )
    rows = list(compare(Known({"a": known / "a.mp4"}, known / "truth"), ["flow"], Resources()))
    assert [row.absent for row in rows] == ["the weights are nowhere", "not installed: pip install it"]


def test_videos_without_a_truth_are_an_error(known, capsys):
    arguments = ["--manifest", str(known / "manifest.csv"), "--truth", str(known / "elsewhere")]
    assert main(["compare", *arguments]) == 2
    assert "has its truth in" in capsys.readouterr().err


class Everybody(Extractor):
    """Keypoints of nobody, and a mask that covers the whole frame."""

    backend = "blazepose"

    def process(self, batch):
        return [self.result() for _ in batch]


class Poses(Everybody):
    view, section, codec = "pose", PoseExtraction, "keypoints"

    def result(self):
        return np.zeros((0, 17, 3), np.float32)


class Masks(Everybody):
    view, section = "mask", MaskExtraction

    def result(self):
        return self.encode(np.full((*self.stored_size, 1), 255, np.uint8))


@pytest.fixture
def two_persons(known, moving, write_video):
    """One video of two persons, who fill the left and the right half but for a margin."""
    root = known / "two"
    (root / "videos").mkdir(parents=True)
    (root / "truth").mkdir()
    write_video(root / "videos" / "pair.mp4", moving(FRAMES, HEIGHT, WIDTH))
    persons = np.zeros((FRAMES, 2, HEIGHT, WIDTH), bool)
    persons[:, 0, 16:80, 8:56], persons[:, 1, 16:80, 72:120] = True, True
    y, x = np.mgrid[20:70:17j, 20:40:17j].reshape(2, 17, 17)[:, :, 0]
    joints = np.tile(np.stack([x, y], 1).astype(np.float32), (FRAMES, 2, 1, 1))
    joints[:, 0, [5, 11]] += 9
    np.savez_compressed(
        root / "truth" / "pair.npz",
        joints=joints,
        joints_visible=np.ones((FRAMES, 2, 17), bool),
        joints_inside=np.ones((FRAMES, 2, 17), bool),
        mask_packed=np.packbits(persons.any(axis=1), axis=-1),
        persons_packed=np.packbits(persons, axis=-1),
        size=np.array([HEIGHT, WIDTH], np.int32),
    )
    return root


def test_videos_of_two_persons_have_a_table_of_their_own(known, two_persons, monkeypatch, capsys):
    for view, name in (("pose", "Poses"), ("mask", "Masks")):
        only(monkeypatch, view, name)
    monkeypatch.setattr(comparison, "to_install", lambda entry: "")
    with np.load(known / "truth" / "a.npz") as stored:
        one = {key: stored[key] for key in stored.files}
    for name in ("a", "b"):
        alone = {
            "joints": np.zeros((FRAMES, 17, 2), np.float32),
            "joints_visible": np.ones((FRAMES, 17), bool),
        }
        np.savez_compressed(known / "truth" / f"{name}.npz", **one, **alone)
    arguments = ["--manifest", str(known / "manifest.csv"), "--truth", str(known / "truth")]
    arguments += ["--two-persons", str(two_persons), "--views", "pose", "mask"]
    assert main(["compare", *arguments, "--output", str(known / "out.json")]) == 0
    written = json.loads((known / "out.json").read_text())
    assert (written["videos"], written["two_persons"]) == (["a", "b"], ["pair"])
    pose, mask = written["backends"]
    assert pose["figures"]["detection rate"] == 0
    assert pose["several"]["persons"] == 2 * FRAMES
    assert pose["several"]["persons found"] == 0
    assert mask["several"]["persons covered"] == 1
    assert mask["several"]["IoU"] == pytest.approx(2 * 64 * 48 / (HEIGHT * WIDTH), rel=0.03)
    printed = capsys.readouterr().out
    assert printed.strip() == table(Comparison(**row) for row in written["backends"])
    first, second = printed.split("several persons in a frame:")
    assert "detection rate" in first
    assert "persons covered, the smaller 1" in second


def test_a_truth_in_the_wrong_place_is_named(known, two_persons, monkeypatch, capsys):
    only(monkeypatch, "mask", "Masks")
    monkeypatch.setattr(comparison, "to_install", lambda entry: "")
    write_csv(
        known / "two.csv", [{"id": "pair", "path": two_persons / "videos" / "pair.mp4"}], ["id", "path"]
    )
    arguments = ["--manifest", str(known / "two.csv"), "--truth", str(two_persons / "truth")]
    assert main(["compare", *arguments, "--views", "mask"]) == 2
    assert "has several persons in a frame" in capsys.readouterr().err
    (known / "videos").mkdir()
    for name in ("a", "b"):
        (known / f"{name}.mp4").rename(known / "videos" / f"{name}.mp4")
    write_csv(
        known / "one.csv",
        [{"id": name, "path": known / "videos" / f"{name}.mp4"} for name in ("a", "b")],
        ["id", "path"],
    )
    arguments = ["--manifest", str(known / "one.csv"), "--truth", str(known / "truth")]
    assert main(["compare", *arguments, "--views", "mask", "--two-persons", str(known)]) == 2
    assert "has one person in a frame" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("there", "count", "chosen"),
    [(11, 6, [0, 1, 3, 5, 7, 9]), (240, 6, [0, 40, 80, 120, 160, 200]), (3, 6, [0, 1, 2]), (5, 1, [0])],
)
def test_videos_are_chosen_evenly(tmp_path, there, count, chosen):
    known = Known({str(i): tmp_path / str(i) for i in range(there)}, tmp_path)
    assert list(known.some(count).videos) == [str(i) for i in chosen]


def test_a_folder_without_videos_of_two_persons_is_an_error(known, capsys):
    (known / "two" / "videos").mkdir(parents=True)
    arguments = ["--manifest", str(known / "manifest.csv"), "--truth", str(known / "truth")]
    assert main(["compare", *arguments, "--two-persons", str(known / "two")]) == 2
    assert "there is no video in the folder" in capsys.readouterr().err
