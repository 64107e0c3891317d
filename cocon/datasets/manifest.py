"""The manifest: one table per data set, with its videos and the splits that they are in."""

from __future__ import annotations

import contextlib
import csv
import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from cocon.errors import DatasetError
from cocon.files import atomic_path
from cocon.shards.file_state import UNKNOWN, FileState, sha256_in
from cocon.tables import open_table

TRAIN, TEST, VALIDATION, UNUSED = "train", "test", "validation", ""
ROLES = (TRAIN, TEST, VALIDATION, UNUSED)
_PREFIX = "split_"


@dataclass(slots=True, eq=False)
class Video:
    """One video of a data set.

    Attributes:
        id: its path below the video folder without the suffix; unique in the data set.
        location: where the file is, as it was given; see :attr:`path`.
        label: its class; empty when it is unlabelled (then it serves for pretraining only).
        group: videos of one group (a film, a person) must not be divided by a validation split.
        splits: role ("train", "test", "validation" or "") by name of the split ("1", "2", ...).
        source: the state of the file when the list was made, as far as the list has it. It is ignored when
            two videos are compared.
    """

    id: str
    location: Path | str
    label: str
    group: str
    splits: dict[str, str]
    source: FileState = UNKNOWN

    @property
    def path(self) -> Path:
        """Where the file is. Created on access: 300,000 paths take longer than all other fields."""
        return Path(self.location)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Video) and self._values() == other._values()

    def _values(self) -> tuple[str, Path, str, str, dict[str, str]]:
        return self.id, self.path, self.label, self.group, self.splits


@dataclass(frozen=True)
class Facts:
    """What is known of a video's file; nothing of it is needed to plan or to run.

    Attributes:
        frames: that can be decoded; 0: not counted.
        fps: frames per second; 0: not read.
        size: of the file, bytes; 0: there is none, or it was not read.
        modified: when the file was changed, ns since 1970; 0 like the size.
        checksum: sha256 of the file; empty: not read.
        status: "ok", "missing", or what is wrong; empty: not looked at.
    """

    frames: int = 0
    fps: float = 0.0
    size: int = 0
    modified: int = 0
    checksum: str = ""
    status: str = ""


_HEAD, _FACTS = ("id", "path", "label"), tuple(field.name for field in fields(Facts))


def write_manifest(path: Path, videos: Sequence[Video], facts: Mapping[str, Facts] | None = None) -> None:
    """Write the table: id, path, label, split_1, split_2, ..., group, and the facts by id as far as known."""
    names = in_order({name for video in videos for name in video.splits})
    known = facts or {}
    with (
        atomic_path(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as handle,
    ):
        writer = csv.writer(handle)
        writer.writerow([*_HEAD, *(f"{_PREFIX}{name}" for name in names), "group", *_FACTS])
        for video in videos:
            fact = known.get(video.id)
            cells = [getattr(fact, name) or "" for name in _FACTS] if fact else [""] * len(_FACTS)
            roles = [video.splits.get(name, UNUSED) for name in names]
            writer.writerow([video.id, video.path, video.label, *roles, video.group, *cells])


def read_manifest(path: Path) -> list[Video]:
    """Read what :func:`write_manifest` wrote, or a table made by hand with the same columns.

    Raises:
        DatasetError: when the file is missing, is no such table, or a row has no id.
    """
    if not Path(path).is_file():
        raise DatasetError(f"there is no manifest {path}", "run the workflow, or `cocon index`, first")
    with open_table(Path(path)) as (header, rows), no_collection():
        columns = {name: number for number, name in enumerate(header)}
        at_source = [columns.get(name, len(header)) for name in ("size", "modified", "checksum")]
        splits = [(name.removeprefix(_PREFIX), n) for name, n in columns.items() if name.startswith(_PREFIX)]
        # A column that a hand-made table lacks is read from an empty cell after all others.
        at_id, at_path, at_label, at_group = (
            columns.get(name, len(header)) for name in ("id", "path", "label", "group")
        )
        videos = []
        for line, row in rows:
            row.append("")
            if not row[at_id] or not row[at_path]:
                raise DatasetError(f"{path}, line {line}: the columns id and path must not be empty")
            roles = {name: row[number] for name, number in splits}
            source = _source(*(row[number] for number in at_source))
            videos.append(Video(row[at_id], row[at_path], row[at_label], row[at_group], roles, source))
    return videos


def _source(size: str, modified: str, checksum: str) -> FileState:
    """The file's state from the cells of a row; a table made by hand may have other values there."""
    if not (size or modified or checksum):
        return UNKNOWN
    try:
        return FileState(int(size), int(modified), sha256_in(checksum))
    except ValueError:  # lists of older versions have a size and no time
        return FileState(sha256=sha256_in(checksum))


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Disable the garbage collector: a table has no cycles, and it takes half the time of 300,000 rows."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def in_order(splits: Iterable[str]) -> list[str]:
    """Names of splits in numeric order: 10 after 9."""
    return sorted(splits, key=lambda name: (len(name), name))


def videos_of(videos: Sequence[Video], split: str, role: str, *, labelled: bool = False) -> list[Video]:
    """The videos with a role in a split; only those with a label when ``labelled``.

    Raises:
        DatasetError: when the data set does not have that split.
    """
    names = {name for video in videos for name in video.splits}
    if split not in names:
        raise DatasetError(f"there is no split '{split}'; there are: {', '.join(in_order(names)) or 'none'}")
    return [v for v in videos if v.splits.get(split) == role and (v.label or not labelled)]
