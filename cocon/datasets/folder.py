"""Your own videos: a folder, and a CSV table with the columns video, label, split (and group).

Instead of ``split`` the table may have ``split_1``, ``split_2``, ..., or the configuration says into how many
folds the videos are divided.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from cocon.config.schema import FolderDataset
from cocon.datasets.folds import LEAVE_ONE_GROUP_OUT, folds_of
from cocon.datasets.manifest import ROLES, TEST, TRAIN, UNUSED, Video
from cocon.datasets.source import Source
from cocon.errors import DatasetError
from cocon.tables import open_table

_ADVICE = "put the files below {videos}, or correct the column 'video' of the table"
COLUMNS = ("video", "label", "split")
_ROLE_OF_WORD = {role: role for role in ROLES} | {"val": "validation", "valid": "validation", "none": UNUSED}
_NUMBERED = re.compile(r"split[\s_-]*(\d+)")
#: in a list of roles before the folds are dealt: the cell is empty, so the video is one to be divided
_DIVIDED = "divided"


def list_videos(settings: FolderDataset) -> list[Video]:
    """Every row of the table. Paths in the column ``video`` are relative to the folder.

    Raises:
        DatasetError: when the folder, the table or a column is missing, columns of splits contradict each
            other or the folds, a split has an unknown name, a test video has no label, or one class is
            written in two ways.
    """
    if not settings.videos.is_dir():
        raise DatasetError(f"there is no folder {settings.videos}", "correct 'videos:' of this data set")
    if not settings.table.is_file():
        raise DatasetError(
            f"there is no table {settings.table}",
            "write a CSV file with the header 'video,label,split' and one line per video",
        )
    with open_table(settings.table, tidy=True) as (columns, table):
        rows = [
            (line, dict(zip(columns, map(str.strip, cells), strict=True)))
            for line, cells in table
            if any(cell.strip() for cell in cells)
        ]
    if not rows:
        raise DatasetError(f"{settings.table} has no rows", "add one line per video: 'walk/a.mp4,walk,train'")
    column_of = _columns_of_splits(settings, columns)
    for column in COLUMNS[: 3 if "split" in column_of.values() and not settings.folds else 2]:
        if column not in columns:
            near = difflib.get_close_matches(column, columns, n=2)
            meant = f"; rename the column '{near[0]}'" if len(near) == 1 else ""
            splits = "" if settings.folds else "; or split_1, split_2, ... for several splits"
            raise DatasetError(
                f"{settings.table} has no column '{column}'{meant}",
                f"it needs {','.join(COLUMNS[:2] if settings.folds else COLUMNS)}{splits}",
            )
    videos = [_video(settings, row, line, column_of) for line, row in rows]
    _check_spelling({video.label for video in videos}, settings.table, "label", "class")
    _check_spelling({row.get("group", "") for _, row in rows}, settings.table, "group", "group")
    return _in_folds(settings, videos, columns) if settings.folds else videos


def _columns_of_splits(settings: FolderDataset, columns: Sequence[str]) -> dict[str, str]:
    """The column that assigns the videos to a split, by the split's name.

    Raises:
        DatasetError: splits defined in two ways, or columns that are not counted from split_1 on.
    """
    numbers = {column: match[1] for column in columns if (match := _NUMBERED.fullmatch(column))}
    if not numbers:
        return {"1": "split"}
    table = settings.table
    if settings.folds:
        raise DatasetError(
            f"{table} has the column '{min(numbers)}', and the data set has 'folds: {settings.folds}'",
            "leave out the one or the other",
        )
    if "split" in columns:
        raise DatasetError(
            f"{table} has the columns 'split' and '{min(numbers)}'", "rename 'split', or delete one of them"
        )
    for column, number in numbers.items():
        if column != f"split_{int(number)}":
            raise DatasetError(f"{table} has the column '{column}'", f"rename it to 'split_{int(number)}'")
    found = {int(number) for number in numbers.values()}
    for number in range(1, max(found) + 1):
        if number not in found:
            raise DatasetError(
                f"{table} has the column 'split_{max(found)}' and no column 'split_{number}'",
                "number the splits 1, 2, 3, ... without a gap",
            )
    if 0 in found:
        raise DatasetError(f"{table} has the column 'split_0'", "number the splits from 1 on")
    return {str(number): f"split_{number}" for number in sorted(found)}


def _check_spelling(words: set[str], table: Path, column: str, meaning: str) -> None:
    """Reject two words that differ in capitals, blanks or Unicode form only."""
    seen: dict[str, str] = {}
    for word in sorted(words):
        composed = unicodedata.normalize("NFC", word)
        other = seen.setdefault("".join(composed.lower().split()), word)
        if other != word:
            alike = unicodedata.normalize("NFC", other) == composed
            forms = ", which look the same: one has composed letters (NFC), one has not" if alike else ""
            raise DatasetError(
                f"{table} has the {column}s '{other}' and '{word}'{forms}",
                f"write one {meaning} in one way everywhere",
            )


def _video(
    settings: FolderDataset, row: Mapping[str, str], number: int, column_of: Mapping[str, str]
) -> Video:
    where = f"{settings.table}, line {number}"
    hint = "give the path of the file, or delete the line"
    if not row["video"]:
        raise DatasetError(f"{where}: the column 'video' is empty", hint)
    if PurePosixPath(row["video"]).name in ("", "..") or "\0" in row["video"]:
        raise DatasetError(f"{where}: {row['video']!r} is not a file name", hint)
    roles = {
        split: _role(row.get(column, ""), where, bool(settings.folds)) for split, column in column_of.items()
    }
    if TEST in roles.values() and settings.folds:
        raise DatasetError(
            f"{where}: the column 'split' says 'test', and the data set has 'folds: {settings.folds}', "
            "which test every video once",
            "empty or delete the column, or leave out the folds; 'train' keeps a video in the training of "
            "every fold, 'none' out of all",
        )
    if TEST in roles.values() and not row["label"]:
        raise DatasetError(
            f"{where}: the test video {row['video']} has no label",
            "give it one, or the split 'train': videos without a label are used for pretraining only",
        )
    path = settings.videos / row["video"]
    video_id = str(PurePosixPath(row["video"]).with_suffix(""))
    return Video(video_id, path, row["label"], row.get("group") or video_id, roles)


def _role(cell: str, where: str, folds: bool) -> str:
    if folds and not cell:
        return _DIVIDED
    role = _ROLE_OF_WORD.get(cell.lower())
    if role is None:
        known = ", ".join(role for role in ROLES if role)
        raise DatasetError(f"{where}: '{cell}' is not a split", f"write one of: {known}, none, or nothing")
    return role


def _in_folds(settings: FolderDataset, videos: Sequence[Video], columns: Sequence[str]) -> list[Video]:
    """Videos whose cell was empty are tested in the fold of their group, and trained on in all others.

    One without a label is never tested; it is out of the fold that tests its group.
    """
    assert settings.folds is not None
    if settings.folds == LEAVE_ONE_GROUP_OUT and "group" not in columns:
        raise DatasetError(
            f"{settings.table} has no column 'group', and the data set has 'folds: {LEAVE_ONE_GROUP_OUT}'",
            "add the column, or give a number of folds: without it every video is a group of its own",
        )
    tested = [video for video in videos if video.label and video.splits["1"] == _DIVIDED]
    if not tested:
        raise DatasetError(
            f"{settings.table} has no video with a label to divide into folds",
            "give videos a label and leave their cell in the column 'split' empty, or leave out the folds",
        )
    fold_of = folds_of([(video.group, video.label) for video in tested], settings.folds)
    folds = sorted(set(fold_of.values()), key=int)

    def role(video: Video, fold: str) -> str:
        fixed = video.splits["1"]
        if fixed != _DIVIDED:
            return fixed
        if fold_of.get(video.group) != fold:
            return TRAIN
        return TEST if video.label else UNUSED

    return [replace(video, splits={fold: role(video, fold) for fold in folds}) for video in videos]


SOURCE = Source("your own videos", list_videos, _ADVICE)
