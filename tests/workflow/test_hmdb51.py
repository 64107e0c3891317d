"""`eval_hmdb51` for real: the demo's clips, in archives of HMDB51's structure under its names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cocon.config.schema import DemoDataset
from cocon.datasets.demo.dataset import list_videos, render
from cocon.datasets.manifest import Video
from tests.datasets.rar import rar
from tests.tiny import DEMO, RECIPE

pytestmark = pytest.mark.e2e

CLASSES = {
    "walk": "walk",
    "run": "run",
    "jump": "jump",
    "jumping_jack": "cartwheel",
    "wave": "wave",
    "squat": "sit",
    "bow": "stand",
    "clap": "clap",
    "box": "punch",
    "kick": "kick",
}
SECTION = {
    "kind": "hmdb51",
    "recipe": "tiny",
    "shards": 1,
    "splits": ["1", "2", "3"],
    "videos": "data/hmdb51/videos",
    "lists": "data/hmdb51/lists",
    "from_archives": ["given"],
}


def write_archives(videos: list[Video], folder: Path) -> None:
    """A rar of a rar per class, and a rar of a list per class and split; each split tests another person."""
    people = sorted({video.group for video in videos})
    classes, lists = {}, {}
    for action, label in CLASSES.items():
        clips = {
            f"film_of_{video.group}_{label}_u_cm_np1_fr_med_0.avi": video
            for video in videos
            if video.label == action
        }
        members = {f"{label}/{name}": video.path.read_bytes() for name, video in clips.items()}
        classes[f"{label}.rar"] = rar(members)
        for split, tested in enumerate(people, 1):
            rows = (f"{name} {2 if video.group == tested else 1} \r\n" for name, video in clips.items())
            lists[f"testTrainMulti_7030_splits/{label}_test_split{split}.txt"] = "".join(rows).encode()
    folder.mkdir()
    (folder / "hmdb51_org.rar").write_bytes(rar(classes))
    (folder / "test_train_splits.rar").write_bytes(rar(lists))


def test_from_archives_to_the_table(workflow, tmp_path_factory: pytest.TempPathFactory) -> None:
    demo = DemoDataset(root=tmp_path_factory.mktemp("demo"), **DEMO)
    render(demo, 2)
    write_archives(list_videos(demo), workflow.folder / "given")
    workflow.configure({"views": ["rgb"], "datasets": {"hmdb51": SECTION}, "recipes": {"tiny": RECIPE}})
    assert "run `cocon data get` for this data set" in workflow.fail("eval_hmdb51")
    workflow.run("get_hmdb51")
    workflow.run("eval_hmdb51")
    results = workflow.folder / "results" / "hmdb51"
    (mean,) = json.loads((results / "summary.json").read_text())["means"]
    assert (mean["splits"], mean["n"], mean["coverage"]) == (["1", "2", "3"], 30, 1.0)
    page = (results / "report.html").read_text()
    assert "cartwheel" in page
