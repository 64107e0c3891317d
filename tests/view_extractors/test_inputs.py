from __future__ import annotations

import os
from pathlib import Path

import pytest

from cocon.errors import CoConError
from view_extractors.inputs import from_manifest, from_names, read_list


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


def test_checksums_of_a_manifest(tmp_path: Path) -> None:
    table = tmp_path / "m.csv"
    table.write_text(f"id,path,checksum\na,x/a.mp4,{'AB' * 32}\nb,x/b.mp4,\nc,x/c.mp4,{'0' * 32}\n")
    paths, checksums = read_list(table)
    assert list(paths) == ["a", "b", "c"]
    assert checksums == {"a": "ab" * 32}
