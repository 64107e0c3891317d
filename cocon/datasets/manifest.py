"""The manifest: one table per data set that says which videos there are and who is in which split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cocon.errors import DatasetError
from cocon.files import read_csv, write_csv

TRAIN, TEST, VALIDATION, UNUSED = "train", "test", "validation", ""
ROLES = (TRAIN, TEST, VALIDATION, UNUSED)
_PREFIX = "split_"


@dataclass(frozen=True)
class Video:
    """One video of a data set.

    Attributes:
        id: its path below the video folder without the suffix; unique in the data set.
        path: where the file is.
        label: its class; empty when it is unlabelled (then it serves for pretraining only).
        group: videos of one group (a film, a person) must not be torn apart by a validation split.
        splits: role ("train", "test", "validation" or "") by name of the split ("1", "2", ...).
    """

    id: str
    path: Path
    label: str
    group: str
    splits: dict[str, str]


def write_manifest(path: Path, videos: Sequence[Video]) -> None:
    """Write the table with the columns id, path, label, group, split_1, split_2, ..."""
    names = sorted({name for video in videos for name in video.splits})
    rows = [
        {"id": video.id, "path": video.path, "label": video.label, "group": video.group}
        | {f"{_PREFIX}{name}": role for name, role in video.splits.items()}
        for video in videos
    ]
    write_csv(path, rows, ["id", "path", "label", "group", *(f"{_PREFIX}{name}" for name in names)])


def read_manifest(path: Path) -> list[Video]:
    """Read what :func:`write_manifest` wrote, or a table made by hand with the same columns.

    Raises:
        DatasetError: when the file is missing or a row has no id.
    """
    if not Path(path).is_file():
        raise DatasetError(f"there is no manifest {path}", "run the workflow, or `cocon index`, first")
    videos = []
    for number, row in enumerate(read_csv(path), start=2):
        if not row.get("id") or not row.get("path"):
            raise DatasetError(f"{path}, line {number}: the columns id and path must not be empty")
        splits = {key.removeprefix(_PREFIX): value for key, value in row.items() if key.startswith(_PREFIX)}
        videos.append(Video(row["id"], Path(row["path"]), row.get("label", ""), row.get("group", ""), splits))
    return videos


def videos_of(videos: Sequence[Video], split: str, role: str, *, labelled: bool = False) -> list[Video]:
    """The videos with a role in a split; only those with a label when ``labelled``.

    Raises:
        DatasetError: when the data set does not have that split.
    """
    names = {name for video in videos for name in video.splits}
    if split not in names:
        raise DatasetError(f"there is no split '{split}'; there are: {', '.join(sorted(names)) or 'none'}")
    return [v for v in videos if v.splits.get(split) == role and (v.label or not labelled)]
