"""Your own videos: a folder, and a CSV table with the columns video, label, split (and group)."""

from __future__ import annotations

import difflib
from pathlib import Path, PurePosixPath

from cocon.config.schema import FolderDataset
from cocon.datasets.manifest import ROLES, TEST, Video
from cocon.errors import DatasetError
from cocon.files import read_csv

ADVICE = "put the files below {videos}, or correct the column 'video' of the table"
COLUMNS = ("video", "label", "split")
_ROLE_OF_WORD = {role: role for role in ROLES} | {"val": "validation", "valid": "validation"}


def list_files(settings: FolderDataset) -> list[Path]:
    """The table."""
    return [settings.table]


def list_videos(settings: FolderDataset) -> list[Video]:
    """Every row of the table. Paths in the column ``video`` are relative to the folder.

    Raises:
        DatasetError: when the folder, the table or a column is missing, a split has an unknown name, a test
            video has no label, or one class is written in two ways.
    """
    if not settings.videos.is_dir():
        raise DatasetError(f"there is no folder {settings.videos}", "correct 'videos:' of this data set")
    if not settings.table.is_file():
        raise DatasetError(
            f"there is no table {settings.table}",
            "write a CSV file with the header 'video,label,split' and one line per video",
        )
    rows = [
        {_clean(key).lower(): _clean(value) for key, value in row.items()} for row in read_csv(settings.table)
    ]
    if not rows:
        raise DatasetError(f"{settings.table} has no rows", "add one line per video: 'walk/a.mp4,walk,train'")
    for column in COLUMNS:
        if column not in rows[0]:
            near = difflib.get_close_matches(column, rows[0], n=1)
            meant = f"; rename the column '{near[0]}'" if near else ""
            raise DatasetError(
                f"{settings.table} has no column '{column}'{meant}", "it needs video,label,split"
            )
    videos = [_video(settings, row, number) for number, row in enumerate(rows, start=2)]
    _check_spelling({video.label for video in videos}, settings.table)
    return videos


def _check_spelling(labels: set[str], table: Path) -> None:
    """Two labels that differ in capitals or blanks only are one class, written in two ways."""
    seen: dict[str, str] = {}
    for label in sorted(labels):
        other = seen.setdefault("".join(label.lower().split()), label)
        if other != label:
            raise DatasetError(
                f"{table} has the labels '{other}' and '{label}'", "write one class in one way everywhere"
            )


def _clean(text: object) -> str:
    return str(text or "").strip()


def _video(settings: FolderDataset, row: dict[str, str], number: int) -> Video:
    where = f"{settings.table}, line {number}"
    if not row["video"]:
        raise DatasetError(
            f"{where}: the column 'video' is empty", "give the path of the file, or delete the line"
        )
    role = _ROLE_OF_WORD.get(row["split"].lower())
    if role is None:
        known = ", ".join(role for role in ROLES if role)
        raise DatasetError(f"{where}: '{row['split']}' is no split", f"write one of: {known}, or nothing")
    if role == TEST and not row["label"]:
        raise DatasetError(
            f"{where}: the test video {row['video']} has no label",
            "give it one, or the split 'train': a video without a label is pretrained on, never tested",
        )
    path = settings.videos / row["video"]
    video_id = str(PurePosixPath(row["video"]).with_suffix(""))
    return Video(video_id, path, row["label"], row.get("group") or video_id, {"1": role})
