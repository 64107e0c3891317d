"""Which videos a command means: files, folders or a manifest, each video with an id."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cocon.errors import CoConError
from cocon.files import read_csv
from cocon.shards.source import sha256_in

SUFFIXES = (
    *(".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4"),
    *(".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".vob", ".webm", ".wmv"),
)
"""How the names of videos end, in lower case; other files of a folder are left alone."""


def from_names(names: Sequence[Path]) -> Mapping[str, Path]:
    """Files and folders, as they were typed.

    The id of a file is its name without the suffix; that of a file in a folder is its path from there,
    without the suffix: ``walk/a`` for ``videos/walk/a.mp4``, when the folder is ``videos``.

    Raises:
        CoConError: two videos would have the same id, or a folder has none.
    """
    videos: dict[str, Path] = {}
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
            # A name that is no UTF-8 still gives an id that any reader can write down.
            video_id = os.fsencode(short.as_posix()).decode("utf-8", "backslashreplace")
            if video_id in videos:
                raise CoConError(
                    f"'{videos[video_id]}' and '{path}' would have the same id '{video_id}'",
                    "give a --manifest with the columns id and path",
                )
            videos[video_id] = path
    return videos


def from_manifest(table: Path) -> Mapping[str, Path]:
    """The rows of a CSV table with the columns ``id`` and ``path``.

    Raises:
        CoConError: the table is missing, a cell is empty, or an id stands there twice.
    """
    return read_list(table)[0]


def read_list(table: Path) -> tuple[Mapping[str, Path], Mapping[str, str]]:
    """The paths of a table as :func:`from_manifest`, and the sha256 of those videos that have it there.

    Both by id. A column ``checksum`` that holds something else than sha256 is not used.
    """
    if not table.is_file():
        raise CoConError(f"there is no manifest {table}")
    videos: dict[str, Path] = {}
    checksums: dict[str, str] = {}
    for line, row in enumerate(read_csv(table), start=2):
        video_id, path = row.get("id"), row.get("path")
        if not video_id or not path:
            raise CoConError(f"{table}, line {line}: the columns id and path must not be empty")
        if video_id in videos:
            raise CoConError(f"{table}, line {line}: the id '{video_id}' stands there twice")
        videos[video_id] = Path(path)
        if checksum := sha256_in(row.get("checksum")):
            checksums[video_id] = checksum
    return videos, checksums


def _of_folder(folder: Path, above: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """Its videos and those of the folders below, in order; hidden ones are left out."""
    above |= {folder.resolve()}
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or entry.resolve() in above:  # a link can lead back
            continue
        if entry.is_dir():
            yield from _of_folder(entry, above)
        elif entry.suffix.lower() in SUFFIXES:
            yield entry
