from __future__ import annotations

from pathlib import Path

import pytest

from cocon.datasets.manifest import Video, read_manifest, videos_of, write_manifest
from cocon.errors import DatasetError

VIDEOS = [
    Video("a/x", Path("v/a/x.mp4"), "a", "g1", {"1": "train", "2": "test"}),
    Video("-b;'\"\n,ü", Path("v/odd name.mp4"), "", "g2", {"1": "train", "2": ""}),
    Video("bad\udcff", Path("v/bad\udcff.mp4"), "a", "g2", {"1": "test", "2": "train"}),
]


def test_round_trip(tmp_path: Path) -> None:
    write_manifest(tmp_path / "m.csv", VIDEOS)
    assert read_manifest(tmp_path / "m.csv") == VIDEOS
    assert (tmp_path / "m.csv").read_bytes().startswith(b"id,path,label,group,split_1,split_2")


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
