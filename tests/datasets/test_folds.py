"""Cross-validation of one's own videos."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from cocon.config.schema import FolderDataset
from cocon.datasets.folds import divide, folds_of
from cocon.datasets.manifest import Video
from cocon.datasets.registry import check_labels, list_videos
from cocon.errors import DatasetError

Row = tuple[str, str, str, str]


def listed(folder: Path, rows: Sequence[Row], folds: int | str) -> list[Video]:
    """Videos of a table with the columns video, label, split, group."""
    return list_videos(section(folder, rows, folds))


def section(folder: Path, rows: Sequence[Row], folds: int | str) -> FolderDataset:
    lines = [",".join(row) for row in [("video", "label", "split", "group"), *rows]]
    (folder / "table.csv").write_text("\n".join(lines))
    return FolderDataset(
        kind="folder", recipe="r", shards=1, videos=folder, table=folder / "table.csv", folds=folds
    )


def people(count: int, classes: str = "ab", takes: int = 1) -> list[Row]:
    """Everybody does every action."""
    return [
        (f"p{person:02}_{label}{take}.mp4", label, "", f"p{person:02}")
        for person in range(count)
        for label in classes
        for take in range(takes)
    ]


def in_test(videos: Sequence[Video], split: str) -> list[Video]:
    return [video for video in videos if video.splits[split] == "test"]


def test_every_video_is_tested_once_and_no_group_is_divided(tmp_path: Path) -> None:
    videos = listed(tmp_path, people(20, "abcdef"), 10)
    names = [str(number) for number in range(1, 11)]
    assert {tuple(video.splits) for video in videos} == {tuple(names)}
    for video in videos:
        assert Counter(video.splits.values()) == {"train": 9, "test": 1}
    for split in names:
        assert Counter(video.label for video in in_test(videos, split)) == dict.fromkeys("abcdef", 2)
        groups = {video.group for video in in_test(videos, split)}
        assert not groups & {video.group for video in videos if video.splits[split] == "train"}


@pytest.mark.parametrize("folds", [3, "leave_one_group_out"])
def test_the_order_of_the_rows_does_not_matter(tmp_path: Path, folds: int | str) -> None:
    rows = people(7, takes=2)[:-3]
    expected = listed(tmp_path, rows, folds)
    for seed in range(5):
        shuffled = random.Random(seed).sample(rows, len(rows))
        assert listed(tmp_path, shuffled, folds) == expected


def test_folds_are_numbered_by_their_first_groups(tmp_path: Path) -> None:
    videos = listed(tmp_path, people(4), "leave_one_group_out")
    assert [{video.group for video in in_test(videos, split)} for split in "1234"] == [
        {"p00"},
        {"p01"},
        {"p02"},
        {"p03"},
    ]
    assert divide({"c": "xx", "b": "x", "a": "x"}, 2) == [{"a", "b"}, {"c"}]


@pytest.mark.parametrize("seed", range(20))
def test_folds_are_as_even_as_greedy_dealing_makes_them(seed: int) -> None:
    """Largest first: two folds differ by the size of one group at most, and nothing is lost."""
    chance = random.Random(seed)
    groups = {f"g{n:02}": chance.choices("abc", k=chance.randint(1, 9)) for n in range(25)}
    count = chance.randint(2, 8)
    folds = divide(groups, count)
    assert len(folds) == count
    assert sorted(name for fold in folds for name in fold) == sorted(groups)
    sizes = [sum(len(groups[name]) for name in fold) for fold in folds]
    assert max(sizes) - min(sizes) <= min(max(len(groups[name]) for name in fold) for fold in folds)


def test_without_groups_every_class_is_spread_evenly() -> None:
    """Videos that are groups of their own: sizes and class counts differ by one at most."""
    groups = {f"{label}{n}": [label] for label, size in (("a", 23), ("b", 7), ("c", 11)) for n in range(size)}
    folds = divide(groups, 4)
    for label in "abc":
        counts = [sum(name.startswith(label) for name in fold) for fold in folds]
        assert max(counts) - min(counts) <= 1, (label, counts)
    assert sorted(map(len, folds)) == [10, 10, 10, 11]


def test_a_table_without_the_columns_split_and_group(tmp_path: Path) -> None:
    settings = section(tmp_path, [], 2)
    settings.table.write_text("video,label\n" + "".join(f"{c}{n}.mp4,{c}\n" for c in "ab" for n in range(4)))
    videos = list_videos(settings)
    for split in "12":
        assert Counter(video.label for video in in_test(videos, split)) == {"a": 2, "b": 2}
    check_labels(settings, videos)


def test_what_the_column_split_says_of_folds(tmp_path: Path) -> None:
    """train: in the training of every fold; none: in no fold; no label: never tested."""
    rows = [
        *people(4),
        ("more.mp4", "a", "train", "elsewhere"),
        ("free.mp4", "", "train", "p00"),
        ("out.mp4", "b", "none", "p01"),
        ("quiet.mp4", "", "", "p02"),
        ("alone.mp4", "", "", ""),
    ]
    by_id = {video.id: list(video.splits.values()) for video in listed(tmp_path, rows, "leave_one_group_out")}
    assert by_id["more"] == by_id["free"] == by_id["alone"] == ["train"] * 4
    assert by_id["out"] == [""] * 4
    assert by_id["quiet"] == ["train", "train", "", "train"], "out of the fold that tests its group"
    assert by_id["p02_a0"] == ["train", "train", "test", "train"]


@pytest.mark.parametrize(
    ("rows", "folds", "sentence"),
    [
        (people(3), 4, "folds: 4, but the labelled videos have 3 groups"),
        (people(1), "leave_one_group_out", "the labelled videos have 1 group"),
        (people(1), 2, "the labelled videos have 1 group"),
        ([*people(3), ("z.mp4", "a", "test", "q")], 2, "line 8: the column 'split' says 'test'"),
        ([("a.mp4", "", "train", ""), ("b.mp4", "", "", "")], 2, "no video with a label to divide"),
        ([(v, c, "train", g) for v, c, _, g in people(3)], 2, "no video with a label to divide"),
    ],
)
def test_folds_that_cannot_be_made(tmp_path: Path, rows: list[Row], folds: int | str, sentence: str) -> None:
    with pytest.raises(DatasetError) as error:
        listed(tmp_path, rows, folds)
    assert sentence in error.value.message
    assert error.value.hint


@pytest.mark.parametrize(
    ("header", "folds", "sentence"),
    [
        ("video,label,split", "leave_one_group_out", "has no column 'group'"),
        ("video,label,split_1", 2, "has the column 'split_1', and the data set has 'folds: 2'"),
        ("video,lable,group", 2, "no column 'label'; rename the column 'lable'"),
    ],
)
def test_tables_that_do_not_fit_the_folds(
    tmp_path: Path, header: str, folds: int | str, sentence: str
) -> None:
    settings = section(tmp_path, [], folds)
    settings.table.write_text(f"{header}\na.mp4,a,\nb.mp4,a,\n")
    with pytest.raises(DatasetError) as error:
        list_videos(settings)
    assert sentence in error.value.message
    assert error.value.hint


def test_a_class_of_one_group_has_nothing_to_learn_from(tmp_path: Path) -> None:
    settings = section(tmp_path, [*people(3), ("jump.mp4", "jump", "", "p01")], "leave_one_group_out")
    with pytest.raises(DatasetError, match=r"fold '2' tests all videos of the class 'jump' \(1\)"):
        check_labels(settings, list_videos(settings))


def test_a_fold_need_not_test_every_class(tmp_path: Path) -> None:
    settings = section(tmp_path, [*people(3), *people(5, "c")[3:]], "leave_one_group_out")
    check_labels(settings, list_videos(settings))


def test_groups_are_known_by_name_only() -> None:
    rows = [("b", "x"), ("a", "x"), ("b", "y"), ("c", "y")]
    assert folds_of(rows, "leave_one_group_out") == {"a": "1", "b": "2", "c": "3"}
    assert folds_of(rows, 2) == folds_of(rows[::-1], 2)
