"""Your own videos: a folder, and a CSV table with the columns video, label, split (and group)."""

from __future__ import annotations

import difflib
import unicodedata
from pathlib import Path, PurePosixPath

from cocon.config.schema import FolderDataset
from cocon.datasets.manifest import ROLES, TEST, Video
from cocon.errors import DatasetError
from cocon.tables import open_table

ADVICE = "put the files below {videos}, or correct the column 'video' of the table"
COLUMNS = ("video", "label", "split")
_ROLE_OF_WORD = {role: role for role in ROLES} | {"val": "validation", "valid": "validation"}


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
    with open_table(settings.table, tidy=True) as (columns, table):
        rows = [
            (line, dict(zip(columns, map(str.strip, cells), strict=True)))
            for line, cells in table
            if any(cell.strip() for cell in cells)
        ]
    if not rows:
        raise DatasetError(f"{settings.table} has no rows", "add one line per video: 'walk/a.mp4,walk,train'")
    for column in COLUMNS:
        if column not in columns:
            near = difflib.get_close_matches(column, columns, n=1)
            meant = f"; rename the column '{near[0]}'" if near else ""
            raise DatasetError(
                f"{settings.table} has no column '{column}'{meant}", "it needs video,label,split"
            )
    videos = [_video(settings, row, line) for line, row in rows]
    _check_spelling({video.label for video in videos}, settings.table)
    return videos


def _check_spelling(labels: set[str], table: Path) -> None:
    """Two labels that differ in capitals, blanks or Unicode form only are one class, written in two ways."""
    seen: dict[str, str] = {}
    for label in sorted(labels):
        composed = unicodedata.normalize("NFC", label)
        other = seen.setdefault("".join(composed.lower().split()), label)
        if other != label:
            alike = unicodedata.normalize("NFC", other) == composed
            forms = ", which look the same: one has composed letters (NFC), one has not" if alike else ""
            raise DatasetError(
                f"{table} has the labels '{other}' and '{label}'{forms}",
                "write one class in one way everywhere",
            )


def _video(settings: FolderDataset, row: dict[str, str], number: int) -> Video:
    where = f"{settings.table}, line {number}"
    hint = "give the path of the file, or delete the line"
    if not row["video"]:
        raise DatasetError(f"{where}: the column 'video' is empty", hint)
    if PurePosixPath(row["video"]).name in ("", "..") or "\0" in row["video"]:
        raise DatasetError(f"{where}: {row['video']!r} is no name of a file", hint)
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
