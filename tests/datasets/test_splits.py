"""Several splits of one's own videos, and what their encoders are pretrained on."""

from __future__ import annotations

from pathlib import Path

import pytest

from cocon.config.load import parse_settings
from cocon.config.schema import FolderDataset, Ucf101Dataset
from cocon.datasets.manifest import Video, in_order, read_manifest, write_manifest
from cocon.datasets.registry import check_labels, list_videos
from cocon.datasets.splits import (
    evaluated_splits,
    limited_to,
    pretraining_splits,
    pretraining_videos,
    seen_in_pretraining,
    with_labels_to_choose_by,
)
from cocon.errors import ConfigError, DatasetError

TABLE = """\
video,label,split_2,group,split_1
walk/a.mp4,walk,test,g1,train
walk/b.mp4,walk,train,g2,test
run/c.mp4,run,train,g2,test
run/d.mp4,run,test,g1,train
run/e.mp4,run,none,g1,
more/f.mp4,,train,,train
"""


def section(folder: Path, table: str = TABLE, **keys: object) -> FolderDataset:
    (folder / "table.csv").write_text(table)
    base = {"kind": "folder", "recipe": "r", "shards": 1, "videos": folder, "table": folder / "table.csv"}
    return FolderDataset.model_validate(base | keys)


def test_columns_are_splits_wherever_they_stand(tmp_path: Path) -> None:
    settings = section(tmp_path)
    videos = {video.id: video for video in list_videos(settings)}
    assert videos["walk/a"].splits == {"1": "train", "2": "test"}
    assert videos["run/e"].splits == {"1": "", "2": ""}, "it takes part in none"
    assert evaluated_splits(settings, list(videos.values())) == ("1", "2")
    check_labels(settings, list(videos.values()))


def test_a_single_split_is_what_it_always_was(tmp_path: Path) -> None:
    one = section(tmp_path, "video,label,split\na.mp4,x,train\nb.mp4,x,none\n")
    assert [video.splits for video in list_videos(one)] == [{"1": "train"}, {"1": ""}]
    assert evaluated_splits(one, list_videos(one)) == pretraining_splits(one, list_videos(one)) == ("1",)


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ("video,label,split_1,split_3", "the column 'split_3' and no column 'split_2'"),
        ("video,label,split_2", "the column 'split_2' and no column 'split_1'"),
        ("video,label,split_0,split_1", "has the column 'split_0'"),
        ("video,label,split,split_1", "has the columns 'split' and 'split_1'"),
        ("video,label,split1,split2", "has the column 'split1'"),
        ("video,label,split_01", "has the column 'split_01'"),
        ("video,lable,split_1,split_2", "no column 'label'; rename the column 'lable'"),
        ("video,label,splits", "no column 'split'; rename the column 'splits'"),
    ],
)
def test_columns_that_contradict_each_other(tmp_path: Path, header: str, sentence: str) -> None:
    table = f"{header}\na.mp4,x{',train' * (header.count(',') - 1)}\n"
    with pytest.raises(DatasetError) as error:
        list_videos(section(tmp_path, table))
    assert sentence in error.value.message
    assert error.value.hint


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("x.mp4,walk,tset,g9,train", "line 8: 'tset' is not a split"),
        ("x.mp4,,test,g9,train", "line 8: the test video x.mp4 has no label"),
    ],
)
def test_cells_of_any_split_are_looked_at(tmp_path: Path, row: str, sentence: str) -> None:
    with pytest.raises(DatasetError, match=sentence):
        list_videos(section(tmp_path, f"{TABLE}{row}\n"))


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (TABLE.replace(",test,g1", ",none,g1"), "split '2' has no labelled test video"),
        (TABLE.replace(",train,g2", ",none,g2"), "split '2' has no labelled train video"),
        (TABLE.replace("walk,train", "walk,none"), "class 'walk' has 1 test video and no train video in"),
        (TABLE.replace("d.mp4,run,test", "d.mp4,run,none"), "no test video in split '2'"),
    ],
)  # fmt: skip
def test_every_split_needs_both(tmp_path: Path, table: str, sentence: str) -> None:
    settings = section(tmp_path, table)
    videos = list_videos(settings)
    with pytest.raises(DatasetError) as error:
        check_labels(settings, videos)
    assert sentence in error.value.message
    only_first = section(tmp_path, table, splits=("1",))
    check_labels(only_first, videos)


def test_every_split_tests_the_same_classes(tmp_path: Path) -> None:
    table = TABLE + "sit/g.mp4,sit,none,g1,train\nsit/h.mp4,sit,none,g2,test\n"
    settings = section(tmp_path, table)
    with pytest.raises(DatasetError, match="class 'sit' is tested in split '1' and not in split '2'"):
        check_labels(settings, list_videos(settings))
    first = section(tmp_path, table, splits=("1",))
    check_labels(first, list_videos(first))


def test_a_group_is_written_in_one_way(tmp_path: Path) -> None:
    settings = section(tmp_path, TABLE.replace("c.mp4,run,train,g2", "c.mp4,run,train,G2"))
    with pytest.raises(DatasetError, match="has the groups 'G2' and 'g2'") as error:
        list_videos(settings)
    assert error.value.hint == "write one group in one way everywhere"


@pytest.mark.parametrize(
    ("folds", "sentence"),
    [
        ("1", "at least 2 folds"),
        ("0", "at least 2 folds"),
        ("true", "a number of folds"),
        ("2.5", "a number of folds"),
        ("groups", "leave_one_group_out"),
    ],
)
def test_folds_are_a_number_or_leave_one_group_out(tmp_path: Path, folds: str, sentence: str) -> None:
    text = f"{{kind: folder, recipe: r, shards: 1, videos: v, table: t.csv, folds: {folds}}}"
    with pytest.raises(ConfigError, match=sentence) as error:
        parse_settings(text, FolderDataset)
    assert "1 problem:" in error.value.message


def test_what_encoders_are_pretrained_on(tmp_path: Path) -> None:
    videos = list_videos(section(tmp_path))

    def ids(split: str) -> list[str]:
        return [video.id for video in pretraining_videos(videos, split)]

    assert ids("1") == ["more/f", "run/d", "walk/a"]
    assert ids("2") == ["more/f", "run/c", "walk/b"]
    assert ids("common") == ["more/f"]
    assert ids("all") == [video.id for video in videos]
    expected = {"each": ("1", "2"), "common": ("common",), "all": ("all",), "2": ("2",)}
    for name, splits in expected.items():
        assert pretraining_splits(section(tmp_path, pretrain_split=name), videos) == splits
    public = Ucf101Dataset(kind="ucf101", recipe="r", shards=1, videos=tmp_path, lists=tmp_path)
    several = public.model_copy(update={"splits": ("1", "2")})
    assert pretraining_splits(several, []) == ("1",), "as in the paper"


def test_nothing_in_common_says_what_to_do(tmp_path: Path) -> None:
    videos = [video for video in list_videos(section(tmp_path)) if video.id != "more/f"]
    with pytest.raises(DatasetError, match="no video is a training video in every split") as error:
        pretraining_videos(videos, "common")
    assert "each" in error.value.hint
    with pytest.raises(DatasetError, match="no split '3'; there are: 1, 2"):
        pretraining_videos(videos, "3")


def test_test_videos_that_the_encoders_have_seen(tmp_path: Path) -> None:
    videos = list_videos(section(tmp_path))
    by_split = {name: pretraining_videos(videos, name) for name in ("1", "2", "common", "all")}
    splits = ("1", "2")
    assert seen_in_pretraining(videos, splits, [by_split["1"], by_split["2"]]) == {}
    assert seen_in_pretraining(videos, splits, [by_split["1"]] * 2) == {"2": (2, 2)}
    assert seen_in_pretraining(videos, splits, [by_split["common"]] * 2) == {}
    assert seen_in_pretraining(videos, splits, [by_split["all"]] * 2) == {"1": (2, 2), "2": (2, 2)}


@pytest.mark.parametrize("split", ["1", "common", "all"])
def test_a_table_of_one_split_gives_the_same_pretraining(tmp_path: Path, split: str) -> None:
    videos = list_videos(section(tmp_path))
    write_manifest(tmp_path / "part.csv", limited_to(videos, split))
    part = read_manifest(tmp_path / "part.csv")
    assert {tuple(video.splits) for video in part} == {(split,)}
    assert [v.id for v in pretraining_videos(part, split)] == [
        v.id for v in pretraining_videos(videos, split)
    ]
    with pytest.raises(DatasetError, match="no split '7'"):
        limited_to(videos, "7")


def test_ten_comes_after_nine(tmp_path: Path) -> None:
    names = [str(number) for number in range(1, 13)]
    assert in_order(reversed(names)) == names
    write_manifest(tmp_path / "m.csv", [Video("a", "a.mp4", "x", "", dict.fromkeys(names, "train"))])
    header = (tmp_path / "m.csv").read_text().splitlines()[0].split(",")
    assert header[3:15] == [f"split_{name}" for name in names]


def test_validation_videos_are_tested_in_place_of_the_test_videos(tmp_path: Path) -> None:
    table = (
        "video,label,split_1,split_2\na.mp4,x,train,validation\nb.mp4,x,validation,train\nc.mp4,x,test,test\n"
    )
    usual = section(tmp_path, table)
    chosen = section(tmp_path, table, evaluate_on="validation")
    assert [video.splits for video in list_videos(chosen)] == [
        {"1": "train", "2": "test"},
        {"1": "test", "2": "train"},
        {"1": "", "2": ""},
    ]
    trained = [[video.id for video in pretraining_videos(list_videos(s), "1")] for s in (usual, chosen)]
    assert trained == [["a"], ["a"]], "what is trained on stays the same"
    with pytest.raises(DatasetError, match="split '2' has no labelled validation video") as error:
        list_videos(
            section(tmp_path, table.replace("train,validation", "train,train"), evaluate_on="validation")
        )
    assert "leave evaluate_on out" in error.value.hint


@pytest.mark.parametrize(
    ("pretrain_split", "labelled"),
    [
        ("each", {"walk/a", "walk/b", "run/c", "run/d", "run/e"}),
        ("all", {"run/e"}),
        ("common", {"run/e"}),
        ("1", {"run/e"}),
    ],
)
def test_tables_of_pretraining_hide_labels_of_what_the_encoders_are_tested_on(
    tmp_path: Path, pretrain_split: str, labelled: set[str]
) -> None:
    settings = section(tmp_path, pretrain_split=pretrain_split)
    videos = list_videos(settings)
    known = with_labels_to_choose_by(settings, videos)
    assert {video.id for video in known if video.label} == labelled
    assert [(v.id, v.group, v.splits) for v in known] == [(v.id, v.group, v.splits) for v in videos]
