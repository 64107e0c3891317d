"""`eval_hmdb51` for real: the demo's clips, in archives of HMDB51's structure under its names."""

from __future__ import annotations

import json

import pytest

from cocon.config.schema import DemoDataset
from cocon.datasets.demo import list_videos, render
from cocon.datasets.manifest import Video
from tests.datasets.rar import hmdb51_archives
from tests.tiny import DEMO, HMDB51, RECIPE

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


def archives(videos: list[Video]) -> tuple[bytes, bytes]:
    """The clips under names of HMDB51's; each of the three splits tests another person."""
    people = sorted({video.group for video in videos})
    contents, lists = {}, {}
    for action, label in CLASSES.items():
        clips = {
            f"film_of_{video.group}_{label}_u_cm_np1_fr_med_0.avi": video
            for video in videos
            if video.label == action
        }
        contents |= {f"{label}/{name}": video.path.read_bytes() for name, video in clips.items()}
        for split, tested in enumerate(people, 1):
            rows = (f"{name} {2 if video.group == tested else 1} \r\n" for name, video in clips.items())
            lists[f"{label}_test_split{split}.txt"] = "".join(rows).encode()
    return hmdb51_archives(contents, lists)


def test_from_archives_to_the_table(workflow, tmp_path_factory: pytest.TempPathFactory) -> None:
    demo = DemoDataset(root=tmp_path_factory.mktemp("demo"), **DEMO)
    render(demo, 2)
    (workflow.folder / "given").mkdir()
    for name, content in zip(HMDB51["from_archives"], archives(list_videos(demo)), strict=True):
        (workflow.folder / "given" / name).write_bytes(content)
    section = HMDB51 | {"from_archives": ["given"]}
    workflow.configure({"views": ["rgb"], "datasets": {"hmdb51": section}, "recipes": {"tiny": RECIPE}})
    assert "run `cocon data get` for this data set" in workflow.fail("eval_hmdb51")
    workflow.run("get_hmdb51")
    workflow.run("eval_hmdb51")
    results = workflow.folder / "results" / "hmdb51"
    (mean,) = json.loads((results / "summary.json").read_text())["means"]
    assert (mean["splits"], mean["n"], mean["coverage"]) == (["1", "2", "3"], 30, 1.0)
    page = (results / "report.html").read_text()
    assert "cartwheel" in page
