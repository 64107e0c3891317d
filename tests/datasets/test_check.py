"""Faults of every kind in a small data set of real, decodable files, and the sentence each gets."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from cocon.cli import main
from cocon.config.schema import Hmdb51Dataset, Ucf101Dataset
from cocon.datasets.findings import against_official, find
from cocon.datasets.manifest import Facts, Video
from cocon.datasets.registry import list_videos, source
from cocon.datasets.video_facts import facts_of, facts_of_all

TABLE = """\
video,label,split
walk/a.mp4,walk,train
walk/b.mp4,walk,train
walk/c.mp4,walk,test
run/d.mp4,run,train
run/e.mp4,run,test
"""


def write_video(path: Path, frames: int, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 32
        for _ in range(frames):
            picture = rng.integers(0, 256, (32, 32, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's own data set without a fault; a clip of its recipe has 8 frames."""
    for seed, row in enumerate(TABLE.splitlines()[1:]):
        write_video(tmp_path / "v" / row.split(",")[0], 10, seed)
    (tmp_path / "table.csv").write_text(TABLE)
    section = "{kind: folder, recipe: r, shards: 1, videos: v, table: table.csv}"
    clip = "{blocks: 4, frames_per_block: 2, predicted_blocks: 1}"
    (tmp_path / "config.yaml").write_text(
        f"datasets: {{mine: {section}}}\nrecipes: {{r: {{clip: {clip}}}}}\nresults: out\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "out" / "mine" / "checked.csv").open() as handle:
        return {row["id"]: row for row in csv.DictReader(handle)}


def test_a_good_data_set(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", "mine"]) == 0
    output = capsys.readouterr().out
    table = [line.split() for line in output.splitlines()]
    assert table[1] == ["run", "2", "2", "1", "1"]
    assert table[3] == ["all", "5", "5", "3", "2"]
    assert "fault" not in output
    row = rows(folder)["walk/a"]
    assert (row["frames"], row["fps"], row["status"], len(row["checksum"])) == ("10", "25.0", "ok", 64)
    assert row["size"] == str((folder / "v" / "walk" / "a.mp4").stat().st_size)


def spoil(folder: Path, kind: str) -> None:
    videos = folder / "v"
    match kind:
        case "missing":
            (videos / "walk" / "a.mp4").unlink()
        case "broken":
            (videos / "walk" / "a.mp4").write_bytes(b"not a video at all" * 100)
        case "empty":
            (videos / "walk" / "a.mp4").write_bytes(b"")
        case "cut short":
            write_video(videos / "walk" / "a.avi", 10, 9)
            data = (videos / "walk" / "a.avi").read_bytes()
            (videos / "walk" / "a.mp4").write_bytes(data[: len(data) * 2 // 3])
            (videos / "walk" / "a.avi").unlink()
        case "leak":
            shutil.copy(videos / "walk" / "a.mp4", videos / "walk" / "c.mp4")
        case "twin":
            shutil.copy(videos / "walk" / "a.mp4", videos / "walk" / "b.mp4")
        case "two labels":
            shutil.copy(videos / "walk" / "a.mp4", videos / "run" / "d.mp4")
        case "short":
            write_video(videos / "walk" / "a.mp4", 7, 9)
        case "folder":
            shutil.move(videos / "walk" / "a.mp4", videos / "run" / "a.mp4")
        case "unlisted":
            write_video(videos / "walk" / "z.mp4", 10, 9)


@pytest.mark.parametrize(
    ("kind", "status", "sentence"),
    [
        ("missing", 2, "fault  1 video has no file: v/walk/a.mp4"),
        ("broken", 2, "fault  1 video will be skipped: v/walk/a.mp4 (cannot be opened as a video: Invalid"),
        ("empty", 2, "fault  1 video will be skipped: v/walk/a.mp4 (is empty)"),
        ("cut short", 0, "note   1 video will be repaired: v/walk/a.mp4 (1 frames left out"),
        (
            "leak",
            2,
            "fault  split 1 leaks: the same content is in train and test, walk/a (train) is walk/c (test)",
        ),
        ("twin", 0, "note   the same content has several names: walk/a = walk/b"),
        ("two labels", 2, "some of them under two labels: run/d = walk/a"),
        ("short", 0, "note   1 video has fewer than 8 frames: walk/a (7)"),
        ("folder", 2, "fault  1 in the folder of another class: v/run/a.mp4 belongs to walk"),
        ("unlisted", 0, "note   1 files are in no list: v/walk/z.mp4"),
    ],
)
def test_each_fault_has_its_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], kind: str, status: int, sentence: str
) -> None:
    spoil(folder, kind)
    assert main(["data", "check", "mine"]) == status
    captured = capsys.readouterr()
    assert sentence in captured.out
    assert ("affect the accuracies" in captured.err) == (status == 2)
    assert len(rows(folder)) == 5, "the table is written whatever is found"


@pytest.mark.parametrize(
    ("labels", "status", "sentence"),
    [
        (("", "", ""), 0, "note   no video has a label: the data set can be pretrained on, not evaluated"),
        (("walk", "", ""), 2, "fault  split '1' has no labelled test video"),
        (("walk", "walk", "run"), 2, "fault  class 'run' has 1 train video and no test video"),
    ],
)
def test_labels_are_looked_at(
    folder: Path, capsys: pytest.CaptureFixture[str], labels: tuple[str, ...], status: int, sentence: str
) -> None:
    names, roles = (
        ("walk/a.mp4", "walk/c.mp4", "run/d.mp4"),
        ("train", "test" if labels[1] else "train", "train"),
    )
    rows = "".join(f"{n},{label},{role}\n" for n, label, role in zip(names, labels, roles, strict=True))
    (folder / "table.csv").write_text("video,label,split\n" + rows)
    assert main(["data", "check", "mine", "--no-decode"]) == status
    assert sentence in capsys.readouterr().out


def test_listed_files_in_the_current_folder_are_listed(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder / "v")
    text = (
        (folder / "config.yaml")
        .read_text()
        .replace("videos: v", "videos: .")
        .replace("table.csv", "../table.csv")
    )
    Path("config.yaml").write_text(text)
    assert main(["data", "check", "mine", "--no-decode"]) == 0
    assert "in no list" not in capsys.readouterr().out


def test_the_manifest_needs_no_labels(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "table.csv").write_text("video,label,split\nwalk/a.mp4,,train\nwalk/gone.mp4,,train\n")
    settings = "{kind: folder, recipe: r, shards: 1, videos: v, table: table.csv}"
    assert main(["index", "--settings", settings, "--output", "m.csv"]) == 0
    assert "m.csv: 2 videos, 0 classes" in capsys.readouterr().err
    with (folder / "m.csv").open() as handle:
        assert [(row["id"], row["status"]) for row in csv.DictReader(handle)] == [
            ("walk/a", ""),
            ("walk/gone", "missing"),
        ]


def test_a_name_that_is_no_utf8_can_be_printed(folder: Path, capsysbinary: Any) -> None:
    with (folder / "table.csv").open("ab") as table:
        table.write(b"run/\xff.mp4,run,train\n")
    assert main(["data", "check", "mine", "--no-decode"]) == 2
    assert rb"v/run/\xff.mp4" in capsysbinary.readouterr().out


def test_a_second_check_reads_only_what_changed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["data", "check", "mine"]) == 0
    before = rows(folder)
    write_video(folder / "v" / "run" / "d.mp4", 12, 99)
    read = []
    monkeypatch.setattr(
        "cocon.datasets.video_facts.facts_of", lambda path: read.append(path) or facts_of(path)
    )
    assert main(["data", "check", "mine"]) == 0
    assert read == [Path("v/run/d.mp4")]
    after = rows(folder)
    assert after.pop("run/d")["frames"] == "12"
    assert after.items() < before.items()


def test_without_decoding_only_the_folder_is_looked_at(folder: Path) -> None:
    spoil(folder, "broken")
    assert main(["data", "check", "mine", "--no-decode"]) == 0
    assert {row["frames"] + row["checksum"] for row in rows(folder).values()} == {""}


def test_several_processes_find_the_same(folder: Path) -> None:
    videos = [Video(path.name, path, "", "", {}) for path in sorted((folder / "v").rglob("*.mp4"))]
    one, two = (dict(facts_of_all(videos, folder / f"m{n}", n)) for n in (1, 2))
    assert one == two
    assert len(one) == 5


def test_the_last_line_of_a_killed_check_is_forgotten(folder: Path) -> None:
    videos = [Video("a", folder / "v" / "walk" / "a.mp4", "", "", {})]
    expected = dict(facts_of_all(videos, folder / "memory"))
    line = (folder / "memory").read_text()
    (folder / "memory").write_text(line[: len(line) // 2])
    assert dict(facts_of_all(videos, folder / "memory")) == expected
    assert dict(facts_of_all(videos, folder / "memory")) == expected


def test_real_clips_decode(shared_data: Path) -> None:
    """Among them a clip of HMDB51 whose metadata is no text."""
    clips = sorted((shared_data / "clips").rglob("*.avi"))
    assert len(clips) >= 9
    for clip in clips:
        facts = facts_of(clip)
        assert facts.status == "ok", clip
        assert facts.frames > 30
        assert 24 <= facts.fps <= 31


@pytest.mark.parametrize(("kind", "section"), [("ucf101", Ucf101Dataset), ("hmdb51", Hmdb51Dataset)])
def test_official_lists_have_the_published_figures(shared_data: Path, kind: str, section: type) -> None:
    common = {"recipe": "r", "shards": 1, "splits": ("1", "2", "3"), "videos": Path("v")}
    settings = section(kind=kind, lists=shared_data / "splits" / kind, **common)
    videos = list_videos(settings)
    official = source(kind).official
    assert list(against_official(videos, official)) == []
    sentences = " ".join(finding.sentence for finding in against_official(videos[1:], official))
    assert f"published are {official.videos:,}" in sentences
    assert "split 1 has" in sentences
    facts = {video.id: Facts(status="missing") for video in videos}
    assert [finding.serious for finding in find(settings, videos, facts, 40)] == [True]


def own_splits(folder: Path, table: str, folds: str = "") -> None:
    (folder / "table.csv").write_text(table)
    if folds:
        text = (folder / "config.yaml").read_text().replace("table.csv}", f"table.csv, folds: {folds}}}")
        (folder / "config.yaml").write_text(text)


def test_groups_in_train_and_test_of_a_split_are_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    roles = {"walk/a": ("train", "train"), "walk/b": ("train", "test"), "walk/c": ("test", "train"),
             "run/d": ("train", "test"), "run/e": ("test", "train")}  # fmt: skip
    groups = {"walk/a": "ann", "walk/b": "ann", "walk/c": "bob", "run/d": "ann", "run/e": "bob"}
    rows = [f"{name}.mp4,{name[: name.index('/')]},{','.join(roles[name])},{groups[name]}" for name in roles]
    own_splits(folder, "\n".join(["video,label,split_1,split_2,group", *rows]))
    assert main(["data", "check", "mine", "--no-decode"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "note   split 2: 1 group is in train and test, 'ann' (1 train, 2 test)" in lines
    assert not any("split 1:" in line for line in lines)
    counts = [line.split()[2:] for line in lines if line.startswith("all ")]
    assert counts == [["5", "3", "2", "3", "2"]]


def test_what_cannot_be_pretrained_on_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = ["walk/a.mp4,walk,train,test", "walk/b.mp4,walk,test,train", "run/d.mp4,run,train,test"]
    own_splits(folder, "\n".join(["video,label,split_1,split_2", *rows, "run/e.mp4,run,test,train"]))
    text = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(text.replace("table.csv}", "table.csv, pretrain_split: common}"))
    assert main(["data", "check", "mine", "--no-decode"]) == 2
    assert "pretrain_split: no video is a training video in every split" in capsys.readouterr().out


def test_folds_are_listed_with_the_groups_that_they_test(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        "walk/a.mp4,walk,p1",
        "walk/b.mp4,walk,p2",
        "walk/c.mp4,walk,p3",
        "run/d.mp4,run,p3",
        "run/e.mp4,run,p4",
    ]
    own_splits(folder, "\n".join(["video,label,group", *rows]), "leave_one_group_out")
    assert main(["data", "check", "mine", "--no-decode"]) == 0
    output = capsys.readouterr().out.splitlines()
    lines = [line.split() for line in output]
    assert ["3", "3", "2", "p3"] in lines
    assert ["4", "4", "1", "p4"] in lines
    assert "note   3 folds do not test every class: 1 (1 of 2), 2 (1 of 2), 4 (1 of 2)" in output
    own_splits(folder, "\n".join(["video,label,group", *rows[:-1]]))
    assert main(["data", "check", "mine", "--no-decode"]) == 2
    assert "fold '3' tests all videos of the class 'run' (1)" in capsys.readouterr().out
