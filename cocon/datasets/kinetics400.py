"""Kinetics-400 (Kay et al. 2017): about 240,000 clips of ten seconds; some are always missing."""

from __future__ import annotations

import filecmp
import os
import re
from collections.abc import Callable, Iterator
from operator import itemgetter
from pathlib import Path, PurePath

from cocon.config.schema import Kinetics400Dataset
from cocon.datasets.manifest import TEST, TRAIN, Video
from cocon.datasets.source import Archive, Download, Extent, Official, Part, Source
from cocon.errors import DatasetError
from cocon.tables import open_table, read_text

_ADVICE = (
    "get them with `snakemake --cores 1 get_{name}` (more than 100 GB), or put the clips anywhere below "
    "{videos}; a file is known by its name, <youtube id>_<start>_<end>.mp4 with six-digit seconds; "
    "docs/datasets.md says more"
)
#: Kay et al. name 400 classes; how many clips are left depends on when they were collected
_OFFICIAL = Official(
    0,
    400,
    may_lack=0.1,
    # 50 clips per class for validation (Kay et al. 2017, arXiv 1705.06950)
    expected=(220_000, 20_000),
    extent=Extent(
        240_000, 65_000_000, (256, 340), "libx264", "the published data set, as far as it can be had"
    ),
)
_LIST_NAME = re.compile(r"(train|val)\.csv")
# The copy of the Common Visual Data Foundation. Neither sizes nor hashes are published: damage is detected by
# the checksum inside every gzip file.
_CVDF = "https://s3.amazonaws.com/kinetics/400"
_LISTS: tuple[Part, ...] = tuple(
    (Archive(f"{name}.csv", (f"{_CVDF}/annotations/{name}.csv",)),) for name in ("train", "val")
)
_REPLACEMENTS = Archive(
    "replacement_for_corrupted_k400.tgz", (f"{_CVDF}/replacement_for_corrupted_k400.tgz",)
)
#: the labels of the test list were not public for years: everyone reports on the validation list
ROLE_OF_LIST = {"train": TRAIN, "val": TEST}
COLUMNS = ("label", "youtube_id", "time_start", "time_end")


def list_parts(fetch: Callable[[Archive], Path]) -> list[Part]:
    """Tar files of about a thousand clips, then one with whole copies of clips that are broken in these."""
    parts: list[Part] = []
    for name in ROLE_OF_LIST:
        index = f"k400_{name}_path.txt"
        for url in read_text(fetch(Archive(index, (f"{_CVDF}/{name}/{index}",)))).split():
            parts.append((Archive(f"{name}/{url.rpartition('/')[2]}", (url,)),))
    return [*parts, (_REPLACEMENTS,)]


def is_replacement(path: PurePath) -> bool:
    """Whether a file is in a replacement for broken clips: ``replacement/`` or the published archive."""
    archive = _REPLACEMENTS.name.removesuffix(".tgz")
    return any(part == "replacement" or part.startswith(archive) for part in path.parts)


def _list_files(settings: Kinetics400Dataset) -> list[Path]:
    """The official tables ``train.csv`` and ``val.csv``."""
    return [settings.lists / f"{name}.csv" for name in ROLE_OF_LIST]


def list_videos(settings: Kinetics400Dataset) -> list[Video]:
    """Every clip of the two tables; one whose file is missing gets the path where it would be looked for.

    Raises:
        DatasetError: when a table is missing, lacks a column or has a time that is no number, or two files
            of one name differ.
    """
    present = _present(settings.videos)
    videos = []
    for (list_name, role), table in zip(ROLE_OF_LIST.items(), _list_files(settings), strict=True):
        expected, splits = settings.videos / list_name, {"1": role}
        for line, (label, youtube_id, start, end) in _rows(table):
            try:
                short = f"{youtube_id}_{int(start):06d}_{int(end):06d}"
            except ValueError:
                short = f"{youtube_id}_{_seconds(start, table, line):06d}_{_seconds(end, table, line):06d}"
            name = f"{short}.mp4"
            folder = present.get(name) or f"{expected}/{label.replace(' ', '_')}"
            place = f"{folder}/{name}"  # a string: 240,000 paths take seconds
            videos.append(Video(f"{list_name}/{short}", place, label, youtube_id, splits))
    return videos


def _present(videos: Path) -> dict[str, str]:
    """The folder of every file below a folder, by the file's name."""
    present: dict[str, str] = {}
    twins: dict[str, list[str]] = {}
    for folder, _, names in os.walk(videos):
        for name in names:
            if present.setdefault(name, folder) != folder:
                twins.setdefault(name, [present[name]]).append(folder)
    for name, folders in twins.items():
        if name.endswith(".mp4"):
            present[name] = _folder_that_counts(videos, name, sorted(folders))
    return present


def _folder_that_counts(videos: Path, name: str, folders: list[str]) -> str:
    """Of folders with files of one name: that with replacements, or any of them if the files are the same."""
    folders = [folder for folder in folders if os.path.isfile(f"{folder}/{name}")] or folders[:1]
    whole = [folder for folder in folders if is_replacement(Path(folder).relative_to(videos))]
    first, *others = whole or folders
    for other in others:
        if not filecmp.cmp(f"{first}/{name}", f"{other}/{name}", shallow=False):
            sizes = " and ".join(
                f"{path} ({os.path.getsize(path):,} bytes)" for path in (f"{first}/{name}", f"{other}/{name}")
            )
            raise DatasetError(
                f"two files with the same name differ: {sizes}",
                "remove the broken one, or put the intact one into a folder 'replacement'",
            )
    return first


def _seconds(text: str, table: Path, line: int) -> int:
    """A time as the lists have it, or as other programs write it: 10 or 10.0."""
    try:
        seconds = float(text)
        if seconds.is_integer() and seconds >= 0:
            return int(seconds)
    except ValueError:
        pass
    raise DatasetError(
        f"{table}, line {line}: the time '{text}' is not a whole number of seconds",
        "take the official list, or correct the line",
    )


def _rows(path: Path) -> Iterator[tuple[int, tuple[str, ...]]]:
    """The line and the cells of :data:`COLUMNS`, row by row."""
    if not path.is_file():
        raise DatasetError(
            f"the table {path} is missing",
            "run `cocon data get` for this data set, or put the official train.csv and val.csv of "
            f"Kinetics-400 into {path.parent}",
        )
    with open_table(path, whole=True) as (header, rows):
        for column in COLUMNS:
            if column not in header:
                raise DatasetError(
                    f"{path} has no column '{column}'", f"its columns must be {', '.join(COLUMNS)}"
                )
        cells = itemgetter(*(header.index(column) for column in COLUMNS))
        for line, row in rows:
            yield line, cells(row)


SOURCE = Source(
    "Kinetics-400", list_videos, _ADVICE, _OFFICIAL, Download(_LIST_NAME, _LISTS, list_parts, is_replacement)
)
