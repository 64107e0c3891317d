"""The videos of a command: files, folders or a manifest, each video with an id."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from cocon.errors import CoConError
from cocon.shards.file_state import sha256_in
from cocon.tables import open_table

SUFFIXES = (
    *(".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4"),
    *(".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".vob", ".webm", ".wmv"),
)
"""Suffixes of videos, in lower case; other files of a folder are ignored."""


class Listing(dict[str, Path]):
    """Paths of videos by id.

    Attributes:
        was_there: of the videos of a manifest that records it, by id: whether the file was there when the
            manifest was made. Empty if most were missing: then the manifest was made before the videos
            arrived.
        checksums: of the videos of a manifest that has them, by id: the sha256 of the file.
    """

    def __init__(self) -> None:
        super().__init__()
        self.was_there: dict[str, bool] = {}
        self.checksums: dict[str, str] = {}


def from_names(names: Sequence[Path]) -> Listing:
    """Videos from files and folders given on the command line.

    The id of a file is its name without the suffix; that of a file in a folder is its path from there,
    without the suffix: ``walk/a`` for ``videos/walk/a.mp4``, when the folder is ``videos``.

    Raises:
        CoConError: two videos would have the same id, or a folder has none.
    """
    videos = Listing()
    for name in names:
        if name.is_dir():
            found = [(path.relative_to(name).with_suffix(""), path) for path in _of_folder(name)]
            if not found:
                raise CoConError(
                    f"there is no video in the folder '{name}'",
                    f"a video's name ends in one of {' '.join(SUFFIXES)}",
                )
        else:
            found = [(Path(name.stem), name)]
        for short, path in found:
            # A name that is not UTF-8 still gives an id that can be written as text.
            video_id = os.fsencode(short.as_posix()).decode("utf-8", "backslashreplace")
            if video_id in videos:
                raise CoConError(
                    f"'{videos[video_id]}' and '{path}' would have the same id '{video_id}'",
                    "give a --manifest with the columns id and path",
                )
            videos[video_id] = path
    return videos


def from_manifest(table: Path) -> Listing:
    """The rows of a CSV table with the columns ``id`` and ``path``, and what it records of the files.

    Raises:
        CoConError: the table is missing, is no such table, a cell is empty, or an id occurs twice.
    """
    if not table.is_file():
        raise CoConError(f"there is no manifest {table}")
    videos = Listing()
    with open_table(table) as (columns, rows):
        for line, cells in rows:
            row = dict(zip(columns, cells, strict=True))
            video_id, path = row.get("id"), row.get("path")
            if not video_id or not path:
                raise CoConError(f"{table}, line {line}: the columns id and path must not be empty")
            if video_id in videos:
                raise CoConError(f"{table}, line {line}: the id '{video_id}' is listed twice")
            videos[video_id] = Path(path)
            if checksum := sha256_in(row.get("checksum")):
                videos.checksums[video_id] = checksum
            if row.get("status") == "missing":
                videos.was_there[video_id] = False
            elif row.get("size"):
                videos.was_there[video_id] = True
    if 2 * sum(not there for there in videos.was_there.values()) > len(videos):
        videos.was_there.clear()
    return videos


def _of_folder(folder: Path, above: frozenset[str] = frozenset()) -> Iterator[Path]:
    """Its videos and those of the folders below, in order; hidden ones are left out."""
    above |= {os.path.realpath(folder)}
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or os.path.realpath(entry) in above:  # a link can lead to a parent
            continue
        if entry.is_dir():
            yield from _of_folder(entry, above)
        elif entry.suffix.lower() in SUFFIXES:
            yield entry
