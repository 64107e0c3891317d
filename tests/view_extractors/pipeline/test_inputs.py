from __future__ import annotations

import os
from pathlib import Path

import pytest

from cocon.errors import CoConError
from view_extractors.pipeline.inputs import from_manifest, from_names


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("videos/walk/b.mp4", "videos/walk/a.b.AVI", "videos/c.mkv", "videos/run/list.txt"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    Path("videos/.hidden.mp4").touch()
    Path("videos/.cache").mkdir()
    Path("videos/.cache/x.mp4").touch()
    return tmp_path


def test_folder_gives_its_videos_with_their_paths_as_ids(folder):
    assert from_names([Path("videos")]) == {
        "c": Path("videos/c.mkv"),
        "walk/a.b": Path("videos/walk/a.b.AVI"),
        "walk/b": Path("videos/walk/b.mp4"),
    }


def test_files_and_folders_together(folder):
    assert list(from_names([Path("videos/walk"), Path("videos/c.mkv"), Path("gone.mp4")])) == [
        "a.b",
        "b",
        "c",
        "gone",
    ]


def test_file_that_is_named_counts_whatever_its_suffix(folder):
    assert list(from_names([Path("videos/run/list.txt")])) == ["list"]


def test_links_are_followed_but_not_in_circles(folder):
    Path("more").mkdir()
    Path("more/d.mp4").touch()
    Path("videos/again").symlink_to("..")
    Path("videos/linked").symlink_to("../more")
    Path("videos/walk/loop").symlink_to("..")
    ids = list(from_names([Path("videos")]))
    assert "linked/d" in ids
    assert not any(name.startswith("walk/loop") for name in ids)
    assert len(ids) < 12


def test_name_that_is_no_utf8_gives_an_id_that_is(folder):
    name = Path(os.fsdecode(b"videos/walk/\xff.mp4"))
    name.touch()
    assert "\\xff" in from_names([name])
    assert "walk/\\xff" in from_names([Path("videos")])


def test_same_id_twice_is_an_error(folder):
    Path("videos/walk/b.avi").touch()
    with pytest.raises(CoConError, match=r"same id 'walk/b'"):
        from_names([Path("videos")])


def test_folder_without_videos_is_an_error(folder):
    with pytest.raises(CoConError, match=r"no video in the folder 'videos/run'"):
        from_names([Path("videos/run")])


def test_manifest(folder):
    Path("m.csv").write_text("label,path,id\nwalk,videos/c.mkv,one\n,x.mp4,two\n")
    assert from_manifest(Path("m.csv")) == {"one": Path("videos/c.mkv"), "two": Path("x.mp4")}


def test_link_that_leads_to_itself_is_a_video_without_a_file(folder):
    Path("videos/walk/x.mp4").symlink_to("y.mp4")
    Path("videos/walk/y.mp4").symlink_to("x.mp4")
    Path("videos/walk/loop").symlink_to("loop")
    assert list(from_names([Path("videos/walk")])) == ["a.b", "b", "x", "y"]


def test_manifest_says_which_files_were_there(folder):
    rows = "a,a.mp4,12,ok\nb,b.mp4,,missing\nc,c.mp4,,\n"
    Path("m.csv").write_text("id,path,size,status\n" + rows)
    assert from_manifest(Path("m.csv")).was_there == {"a": True, "b": False}
    assert from_names([Path("a.mp4")]).was_there == {}


def test_manifest_that_was_made_before_the_videos_came_says_nothing(folder):
    Path("m.csv").write_text("id,path,status\na,a.mp4,missing\nb,b.mp4,missing\nc,c.mp4,\n")
    assert from_manifest(Path("m.csv")).was_there == {}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"id;path\na;a.mp4\n", "m.csv are separated by ';'"),
        ("id,path\na,a.mp4\n".encode("utf-16"), "m.csv is written in UTF-16"),
        (b"id,path,id\na,a.mp4,b\n", "m.csv has 2 columns 'id'"),
        (b"id,path\n\na,b, c.mp4\n", "m.csv, line 3: 3 cells, but the table has 2 columns"),
        (b"id,path\n\na,\n", "m.csv, line 3: the columns id and path must not be empty"),
    ],
)
def test_what_is_wrong_with_a_manifest_is_said(folder, content, sentence):
    Path("m.csv").write_bytes(content)
    with pytest.raises(CoConError) as error:
        from_manifest(Path("m.csv"))
    assert sentence in error.value.message


def test_checksums_of_a_manifest(tmp_path: Path) -> None:
    table = tmp_path / "m.csv"
    table.write_text(f"id,path,checksum\na,x/a.mp4,{'AB' * 32}\nb,x/b.mp4,\nc,x/c.mp4,{'0' * 32}\n")
    videos = from_manifest(table)
    assert list(videos) == ["a", "b", "c"]
    assert videos.checksums == {"a": "ab" * 32}
