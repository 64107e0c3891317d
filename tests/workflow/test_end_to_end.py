"""The whole workflow for real, on a handful of demo clips: killed, resumed, repeated, changed."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import time
from typing import Any

import pytest

from cocon.datasets.manifest import read_manifest
from cocon.shards import ShardSet
from cocon.shards.verify import verify
from tests import tiny

pytestmark = pytest.mark.e2e

RECIPE: dict[str, Any] = tiny.RECIPE | {
    "extraction": tiny.RECIPE["extraction"] | {"max_failed_fraction": 0.1},
    "pretraining": tiny.RECIPE["pretraining"] | {"stage2": {"epochs": 2, "batch_size": 8}},
    "evaluation": {
        "pretrainings": ["random", "cocon"],
        "finetune_pretrainings": ["cocon"],
        "finetune": {"epochs": 1},
        "bootstrap": 100,
    },
}
DOCUMENT = {"datasets": {"demo": tiny.DEMO}, "recipes": {"tiny": RECIPE}}


@pytest.fixture(scope="module")
def finished(new_workflow, tmp_path_factory: pytest.TempPathFactory):
    """A run that was killed in the middle of extraction and then asked for again."""
    workflow = new_workflow(tmp_path_factory.mktemp("run"))
    workflow.configure(DOCUMENT)
    kill_during_extraction(workflow)
    workflow.run("eval_demo")
    return workflow


def kill_during_extraction(workflow) -> None:
    shards = workflow.folder / "results" / "demo" / "shards"
    process = subprocess.Popen(
        workflow.command("eval_demo"),
        cwd=workflow.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 300
    try:
        while not list(shards.glob("*/.*.work/rows/[0-9]*")):
            assert process.poll() is None, "the run ended before it extracted anything"
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert "another run works in" in workflow.fail("eval_demo")
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for path in shards.glob("*/[!.]*"):
        verify(path)  # whatever has its final name is whole


def test_every_row_of_the_table_is_there(finished) -> None:
    rows = json.loads((finished.folder / "results/demo/summary.json").read_text())["rows"]
    found = {(row["pretraining"], row["view"], row["protocol"]) for row in rows}
    views = ("rgb", "flow", "mask", "pose", "ensemble")
    protocols = {"random": ("linear", "retrieval"), "cocon": ("linear", "retrieval", "finetune")}
    assert found == {(p, v, q) for p, allowed in protocols.items() for v in views for q in allowed}
    assert len(rows) == len(found)
    for row in rows:
        assert row["dataset"] == "demo"
        assert row["n"] == 10
        assert row["coverage"] == 1.0
        assert row["chance"] == pytest.approx(0.1)
        assert 0 <= row["ci95"][0] <= row["top1"] <= row["ci95"][1] <= 1
    with (finished.folder / "results/demo/summary.csv").open() as handle:
        assert len(list(csv.DictReader(handle))) == len(rows)


def test_all_views_show_the_same_frames(finished) -> None:
    results = finished.folder / "results" / "demo"
    expected = {video.id for video in read_manifest(results / "manifest.csv")}
    assert len(expected) == 30
    for view in ("rgb", "flow", "mask", "pose"):
        shards = ShardSet.of_folder(results / "shards" / view)
        assert shards.videos.keys() == expected
        assert {(v.frames, v.status) for v in shards.videos.values()} == {(18, "ok")}


def test_the_report_is_one_page_with_pictures(finished) -> None:
    page = (finished.folder / "results/demo/report.html").read_text()
    assert "data:image/jpeg" in page
    assert 'src="http' not in page


def test_again_there_is_nothing_to_be_done(finished) -> None:
    assert "Nothing to be done" in finished.run("eval_demo")


def test_a_touched_video_redoes_its_shards_and_what_follows(finished) -> None:
    video = next(iter(read_manifest(finished.folder / "results/demo/manifest.csv")))
    path = finished.folder / video.path
    before = path.stat()
    path.touch()
    plan = finished.plan("eval_demo")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert plan["extract"] == 2, "rgb and flow of one shard out of two"
    assert plan["extract_persons"] == 1
    assert plan["pretrain_stage1"] == 4
    assert plan["page"] == 1
    assert (plan["index"], plan["index_for_pretraining"]) == (1, 1)
    assert not {"render", "initialise"} & set(plan)


def test_another_learning_rate_extracts_nothing(finished) -> None:
    stage2 = RECIPE["pretraining"]["stage2"] | {"learning_rate": 0.01}
    recipe = RECIPE | {"pretraining": RECIPE["pretraining"] | {"stage2": stage2}}
    finished.configure(DOCUMENT | {"recipes": {"tiny": recipe}})
    plan = finished.plan("eval_demo")
    finished.configure(DOCUMENT)
    assert plan["pretrain_stage2"] == 1
    before = {"render", "index", "index_for_pretraining", "extract", "extract_persons", "initialise"}
    assert not (before | {"pretrain_stage1"}) & set(plan)


def test_other_flow_parameters_redo_flow_and_no_other_view(finished) -> None:
    extraction = RECIPE["extraction"] | {"flow": RECIPE["extraction"]["flow"] | {"bound": 10}}
    finished.configure(DOCUMENT | {"recipes": {"tiny": RECIPE | {"extraction": extraction}}})
    plan = finished.plan("eval_demo")
    finished.configure(DOCUMENT)
    assert plan["extract"] == 2, "flow of two shards"
    assert not {"render", "index", "extract_persons", "initialise"} & set(plan)


def test_a_single_stage_is_redone_by_its_name(finished) -> None:
    shard = finished.folder / "results/demo/shards/rgb/00001.h5"
    before = shard.read_bytes()
    shard.unlink()
    finished.run("results/demo/shards/rgb/00001.h5")
    assert shard.read_bytes() == before, "extraction is deterministic"


def test_a_folder_with_a_broken_video(finished, workflow) -> None:
    """A user's own clips; one cannot be decoded: a row says so, and the accuracy says how many it covers."""
    videos = read_manifest(finished.folder / "results/demo/manifest.csv")
    lines = ["video,label,split"]
    for video in videos:
        source = finished.folder / video.path
        target = workflow.folder / "my clips" / f"{video.id} ü.mp4"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
        lines.append(f"{video.id} ü.mp4,{video.label},{video.splits['1']}")
    broken = next(video for video in videos if video.splits["1"] == "test")
    (workflow.folder / "my clips" / f"{broken.id} ü.mp4").write_bytes(b"not a video")
    (workflow.folder / "table.csv").write_text("\n".join(lines), encoding="utf-8")
    mine = {"kind": "folder", "recipe": "tiny", "shards": 1, "videos": "my clips", "table": "table.csv"}
    evaluation = {"pretrainings": ["random"], "protocols": ["linear"]}
    recipe = RECIPE | {"evaluation": evaluation}
    document = {"views": ["rgb"], "datasets": {"mine": mine}, "recipes": {"tiny": recipe}}
    workflow.configure(document)
    workflow.run("eval_mine")
    row = ShardSet.of_folder(workflow.folder / "results/mine/shards/rgb").videos[f"{broken.id} ü"]
    assert row.status == "skipped"
    assert row.reason
    (result,) = json.loads((workflow.folder / "results/mine/summary.json").read_text())["rows"]
    assert (result["n"], result["coverage"]) == (9, 0.9)
    page = (workflow.folder / "results/mine/report.html").read_text()
    assert broken.id in page

    # One more video, and the broken one mended: one run extracts both; the next has nothing to do.
    whole = workflow.folder / "my clips" / f"{broken.id} ü.mp4"
    whole.write_bytes((finished.folder / broken.path).read_bytes())
    (workflow.folder / "my clips" / "more.mp4").write_bytes(whole.read_bytes())
    with (workflow.folder / "table.csv").open("a", encoding="utf-8") as table:
        table.write(f"\nmore.mp4,{broken.label},test\n")
    workflow.run("eval_mine")
    videos = ShardSet.of_folder(workflow.folder / "results/mine/shards/rgb").videos
    assert {videos[name].status for name in (f"{broken.id} ü", "more")} == {"ok"}
    (result,) = json.loads((workflow.folder / "results/mine/summary.json").read_text())["rows"]
    assert (result["n"], result["coverage"]) == (11, 1.0)
    assert "Nothing to be done" in workflow.run("eval_mine")

    # An older file of the same size takes its place.
    os.utime(whole, (1_500_000_000, 1_500_000_000))
    workflow.run("extract_mine")
    output = workflow.fail("results/mine/features/random/rgb.h5", "--allowed-rules", "features")
    assert "do not match the list of" in output
    workflow.run("eval_mine")

    # What may fail is no part of what was extracted: it counts when something is extracted again.
    workflow.configure(document | {"jobs": {"extract": {"max_failed_fraction": 0}}})
    assert workflow.plan("eval_mine") == {}
    whole.write_bytes(b"not a video")
    output = workflow.fail("extract_mine")
    assert "max_failed_fraction is 0" in output
    assert broken.id in output
    # It stays to be done, and allowing the failure finishes it with what had been extracted before.
    workflow.configure(document)
    assert workflow.plan("eval_mine")["extract"] == 1
    workflow.run("eval_mine")
    log = (workflow.folder / "results/mine/logs/extract/rgb_00000.log").read_text()
    assert "1 of 31 videos" in log or "1 video" in log, log
    (result,) = json.loads((workflow.folder / "results/mine/summary.json").read_text())["rows"]
    assert (result["n"], result["coverage"]) == (10, pytest.approx(10 / 11))
    assert "Nothing to be done" in workflow.run("eval_mine")
