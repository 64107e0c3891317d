from __future__ import annotations

import json
from pathlib import Path

import pytest

from cocon.cli import main
from cocon.datasets.manifest import Facts, Video, read_manifest, videos_of, write_manifest
from cocon.errors import DatasetError
from cocon.files import read_csv
from cocon.shards.file_state import UNKNOWN, FileState

VIDEOS = [
    Video("a/x", Path("v/a/x.mp4"), "a", "g1", {"1": "train", "2": "test"}),
    Video("-b;'\"\n,ü", Path("v/odd name.mp4"), "", "g2", {"1": "train", "2": ""}),
    Video("bad\udcff", Path("v/bad\udcff.mp4"), "a", "g2", {"1": "test", "2": "train"}),
]


def test_round_trip(tmp_path: Path) -> None:
    write_manifest(tmp_path / "m.csv", VIDEOS)
    assert read_manifest(tmp_path / "m.csv") == VIDEOS


def test_facts_stand_beside_the_videos_and_are_not_needed(tmp_path: Path) -> None:
    facts = {"a/x": Facts(40, 29.97, 1234, 1_700_000_000_123_456_789, "ab" * 32, "ok")}
    write_manifest(tmp_path / "m.csv", VIDEOS, facts)
    lines = (tmp_path / "m.csv").read_text(errors="surrogateescape").splitlines()
    assert lines[0] == "id,path,label,split_1,split_2,group,frames,fps,size,modified,checksum,status"
    assert lines[1] == f"a/x,v/a/x.mp4,a,train,test,g1,40,29.97,1234,1700000000123456789,{'ab' * 32},ok"
    read = read_manifest(tmp_path / "m.csv")
    assert read == VIDEOS
    assert [video.source for video in read] == [
        FileState(1234, 1_700_000_000_123_456_789, "ab" * 32), UNKNOWN, UNKNOWN,
    ]  # fmt: skip


def test_columns_of_the_same_name_with_something_else(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("id,path,size,modified,checksum\na,a.mp4,12 kB,2020-01-01,md5\n")
    assert read_manifest(tmp_path / "m.csv")[0].source == UNKNOWN
    (tmp_path / "m.csv").write_text("id,path,size\na,a.mp4,12\n")  # older than the column modified
    assert read_manifest(tmp_path / "m.csv")[0].source == UNKNOWN


@pytest.mark.parametrize("tracked", [True, False])
def test_index_describes_the_files_that_are_tracked(tmp_path: Path, tracked: bool) -> None:
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "a.mp4").write_bytes(b"12345")
    (tmp_path / "table.csv").write_text("video,label,split\na.mp4,walk,train\nb.mp4,walk,test\n")
    settings = {"kind": "folder", "recipe": "r", "shards": 1, "track_videos": tracked}
    settings |= {"videos": str(tmp_path / "v"), "table": str(tmp_path / "table.csv")}
    assert main(["index", "--settings", json.dumps(settings), "--output", str(tmp_path / "m.csv")]) == 0
    state = (tmp_path / "v" / "a.mp4").stat()
    rows = read_csv(tmp_path / "m.csv")
    expected = {"size": str(state.st_size), "modified": str(state.st_mtime_ns), "status": ""}
    missing = {"size": "", "modified": "", "status": "missing"}
    if not tracked:
        expected = missing = dict.fromkeys(expected, "")
    assert [{name: row[name] for name in expected} for row in rows] == [expected, missing]


def test_a_table_made_by_hand(tmp_path: Path) -> None:
    """Columns in another order, some missing, a short row, an empty line, a byte order mark."""
    (tmp_path / "m.csv").write_text("\ufeffpath,split_1,id\nv/a.mp4,train,a\n\nv/b.mp4,,b\nv/c.mp4\n")
    with pytest.raises(DatasetError, match="line 5"):
        read_manifest(tmp_path / "m.csv")
    (tmp_path / "m.csv").write_text("id,path,split_1\na,v/a.mp4,train\nb,v/b.mp4\n")
    assert read_manifest(tmp_path / "m.csv") == [
        Video("a", Path("v/a.mp4"), "", "", {"1": "train"}),
        Video("b", Path("v/b.mp4"), "", "", {"1": ""}),
    ]


def test_roles() -> None:
    assert videos_of(VIDEOS, "1", "train") == VIDEOS[:2]
    assert videos_of(VIDEOS, "1", "train", labelled=True) == VIDEOS[:1]
    assert videos_of(VIDEOS, "2", "test") == VIDEOS[:1]
    with pytest.raises(DatasetError, match="no split '3'; there are: 1, 2"):
        videos_of(VIDEOS, "3", "train")


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no manifest"):
        read_manifest(tmp_path / "m.csv")
    (tmp_path / "m.csv").write_text("id,path\na,\n")
    with pytest.raises(DatasetError, match="line 2"):
        read_manifest(tmp_path / "m.csv")
