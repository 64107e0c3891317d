"""`cocon index` as the rules call it: whole tables, and the list of one shard."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from cocon.cli import main
from cocon.config.schema import FolderDataset
from cocon.datasets.registry import list_videos
from cocon.shards import shard_of
from cocon.workflow.lists import file_identity, members_of

NAMES = [f"v{number}" for number in range(12)]


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "v").mkdir()
    for name in NAMES[1:]:  # one is missing
        (tmp_path / "v" / f"{name}.mp4").write_bytes(b"video")
    rows = "".join(f"{name}.mp4,x,train\n" for name in NAMES)
    (tmp_path / "t.csv").write_text(f"video,label,split\n{rows}")
    section = {"kind": "folder", "recipe": "r", "shards": 2}
    return section | {"videos": str(tmp_path / "v"), "table": str(tmp_path / "t.csv")}


def listed(settings: dict[str, Any], output: Path, *options: str) -> list[dict[str, str]]:
    assert main(["index", "--settings", json.dumps(settings), "--output", str(output), *options]) == 0
    with output.open() as table:
        return list(csv.DictReader(table))


def members(settings: dict[str, Any], shard: int) -> str:
    section = FolderDataset.model_validate(settings)
    videos = [video for video in list_videos(section) if shard_of(video.id, 2) == shard]
    return members_of(videos, file_identity if section.track_videos else None)


@pytest.mark.parametrize("tracked", [True, False])
def test_a_shard_has_its_part_and_knows_what_is_missing(
    settings: dict[str, Any], tmp_path: Path, tracked: bool
) -> None:
    settings |= {"track_videos": tracked}
    found = []
    for shard in (0, 1):
        options = ("--shard", f"{shard:05d}", "--shards", "2", "--expect", members(settings, shard))
        found += listed(settings, tmp_path / "shard.csv", *options)
    assert sorted(row["id"] for row in found) == sorted(NAMES)
    assert {row["id"] for row in found if row["status"] == "missing"} == {"v0"}
    whole = listed(settings, tmp_path / "all.csv")
    assert {bool(row["modified"]) for row in whole if row["id"] != "v0"} == {tracked}


@pytest.mark.parametrize("change", ["another file", "another row"])
def test_a_list_that_changed_since_it_was_planned_is_refused(
    settings: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    planned = {shard: members(settings, shard) for shard in (0, 1)}
    if change == "another file":
        (tmp_path / "v" / "v3.mp4").write_bytes(b"a longer video")
    else:
        with (tmp_path / "t.csv").open("a") as table:
            table.write("v3b.mp4,x,train\n")
    affected = shard_of("v3" if change == "another file" else "v3b", 2)
    for shard, expected in planned.items():
        output = tmp_path / f"{shard}.csv"
        arguments = ["--shard", str(shard), "--shards", "2", "--expect", expected, "--output", str(output)]
        status = main(["index", "--settings", json.dumps(settings), *arguments])
        assert status == (2 if shard == affected else 0)
        assert output.exists() == (shard != affected)
    assert "changed after the run was planned" in capsys.readouterr().err


def test_a_table_may_be_limited_to_one_split(
    settings: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        f"{name}.mp4,x,{'train' if n % 2 else 'test'},{'train' if n else ''}" for n, name in enumerate(NAMES)
    ]
    (tmp_path / "t.csv").write_text("\n".join(["video,label,split_1,split_2", *rows]))
    whole = listed(settings, tmp_path / "all.csv")
    assert [row["split_2"] for row in whole].count("train") == 11
    second = listed(settings, tmp_path / "second.csv", "--split", "2")
    assert [row["split_2"] for row in second] == [row["split_2"] for row in whole]
    assert "split_1" not in second[0]
    common = listed(settings, tmp_path / "common.csv", "--split", "common")
    assert [row["id"] for row in common if row["split_common"] == "train"] == sorted(NAMES[1::2])
    used = listed(settings, tmp_path / "any.csv", "--split", "any")
    assert {row["split_any"] for row in used} == {"train"}
    arguments = ["index", "--settings", json.dumps(settings), "--output", str(tmp_path / "no.csv")]
    assert main([*arguments, "--split", "3"]) == 2
    assert "there is no split '3'" in capsys.readouterr().err


def test_a_table_for_pretraining_hides_labels_of_test_videos(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    rows = "".join(f"{name}.mp4,x,{'test' if name == 'v1' else 'train'}\n" for name in NAMES)
    (tmp_path / "t.csv").write_text(f"video,label,split\n{rows}")
    settings |= {"pretrain_split": "all"}
    for options, hidden in (((), set()), (("--for-pretraining",), {"v1"})):
        found = listed(settings, tmp_path / "all.csv", "--split", "all", *options)
        assert {row["id"] for row in found if not row["label"]} == hidden
        assert len(found) == len(NAMES)
