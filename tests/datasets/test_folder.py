from __future__ import annotations

from pathlib import Path

import pytest

from cocon.config.schema import FolderDataset
from cocon.datasets.checks import check_files
from cocon.datasets.registry import list_videos
from cocon.datasets.sources import advice
from cocon.errors import DatasetError

GOOD = """\
video,label,split
walk/a.mp4,walk,train
walk/b.mp4,walk,test
run/c.mp4,run,train
run/d.avi,run,test
"""


def dataset(folder: Path, table: str) -> FolderDataset:
    (folder / "table.csv").write_text(table, encoding="utf-8")
    return FolderDataset(kind="folder", recipe="r", shards=1, videos=folder, table=folder / "table.csv")


def test_rows_become_videos(tmp_path: Path) -> None:
    videos = list_videos(dataset(tmp_path, GOOD))
    assert [video.id for video in videos] == ["run/c", "run/d", "walk/a", "walk/b"]
    assert videos[1].path == tmp_path / "run" / "d.avi"
    assert videos[1].splits == {"1": "test"}
    assert videos[1].group == "run/d"


def test_a_table_from_a_spreadsheet(tmp_path: Path) -> None:
    """Byte order mark, blanks, capitals, CRLF, other columns, a group column, 'val'."""
    rows = [
        "\ufeff Video , LABEL,Split,group,note",
        " a.mp4 ,walk,Train,g1,x",
        "b.mp4,walk,TEST,g2,",
        "c.mp4,,val,g3,",
        "",
    ]
    videos = list_videos(dataset(tmp_path, "\r\n".join(rows)))
    assert [(v.id, v.label, v.group, v.splits["1"]) for v in videos] == [
        ("a", "walk", "g1", "train"),
        ("b", "walk", "g2", "test"),
        ("c", "", "g3", "validation"),
    ]


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("video,label,split\n", "has no rows"),
        ("video,lable,split\na,b,train\n", "no column 'label'; rename the column 'lable'"),
        ("video,label,split\n,walk,train\n", "line 2: the column 'video' is empty"),
        ("video,label,split\na.mp4,walk,trian\n", "line 2: 'trian' is no split"),
        (GOOD + "walk/a.avi,walk,train\n", "2 videos have the id 'walk/a'"),
        (GOOD + "jump/e.mp4,jump,test\n", "class 'jump' has 1 test video and no train video"),
        (GOOD + "jump/e.mp4,jump,train\njump/f.mp4,jump,train\n", "2 train videos and no test video"),
        ("video,label,split\na.mp4,walk,train\n", "no labelled test video"),
        ("video,label,split\na.mp4,,train\nb.mp4,x,test\n", "no labelled train video"),
        (GOOD + "walk/e.mp4,,test\n", "line 6: the test video walk/e.mp4 has no label"),
        (GOOD + "walk/e.mp4,Walk,train\n", "has the labels 'Walk' and 'walk'"),
        (GOOD + "walk/a.mp4,walk,train\n", "2 videos have the id 'walk/a'"),
    ],
)
def test_one_sentence_says_what_is_wrong_and_one_what_to_do(
    tmp_path: Path, table: str, sentence: str
) -> None:
    with pytest.raises(DatasetError) as error:
        list_videos(dataset(tmp_path, table))
    assert sentence in error.value.message
    assert error.value.hint


def test_folder_and_table_must_be_there(tmp_path: Path) -> None:
    settings = dataset(tmp_path, GOOD)
    settings.table.unlink()
    with pytest.raises(DatasetError, match="there is no table"):
        list_videos(settings)
    with pytest.raises(DatasetError, match="there is no folder"):
        list_videos(settings.model_copy(update={"videos": tmp_path / "no"}))


@pytest.mark.parametrize(
    ("written", "there", "sentence"),
    [
        ("walk/a.avi", "walk/a.mp4", "walk/a.avi (there is a.mp4)"),
        ("walk/A.mp4", "walk/a.mp4", "walk/A.mp4 (there is a.mp4)"),
        ("Walk/a.mp4", "walk/a.mp4", "Walk/a.mp4 (there is the folder {folder}/walk)"),
        ("walk/a.mp4", "run/a.mp4", "walk/a.mp4"),
    ],
)
def test_a_file_that_is_written_otherwise_is_named(
    tmp_path: Path, written: str, there: str, sentence: str
) -> None:
    (tmp_path / there).parent.mkdir()
    (tmp_path / there).touch()
    settings = dataset(tmp_path, f"video,label,split\n{written},x,train\nb.mp4,x,test\n")
    (tmp_path / "b.mp4").touch()
    with pytest.raises(DatasetError, match="1 of 2 videos are missing") as error:
        check_files(list_videos(settings), 0.05, advice("mine", settings))
    assert error.value.message.endswith(f"{tmp_path}/{sentence.format(folder=tmp_path)}")
    assert "table" in error.value.hint
