"""Kinetics-400 (Kay et al. 2017): about 240,000 clips of ten seconds; some are always missing."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Iterator
from operator import itemgetter
from pathlib import Path

from cocon.config.schema import Kinetics400Dataset
from cocon.datasets.manifest import TEST, TRAIN, Video
from cocon.datasets.sources import Archive, Official, Part
from cocon.errors import DatasetError

ADVICE = (
    "get them with `snakemake --cores 1 get_{name}` (more than 100 GB), or put the clips anywhere below "
    "{videos}; a file is known by its name, <youtube id>_<start>_<end>.mp4 with six-digit seconds; "
    "docs/datasets.md says more"
)
#: Kay et al. name 400 classes; how many clips are left depends on when they were collected
OFFICIAL = Official(0, 400, may_lack=0.1)
LIST_NAME = re.compile(r"(train|val)\.csv")
# The copy of the Common Visual Data Foundation. Neither sizes nor hashes are published: the checksum inside
# every gzip file is what damage is noticed by.
_CVDF = "https://s3.amazonaws.com/kinetics/400"
LISTS: tuple[Part, ...] = tuple(
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
        for url in fetch(Archive(index, (f"{_CVDF}/{name}/{index}",))).read_text().split():
            parts.append((Archive(f"{name}/{url.rpartition('/')[2]}", (url,)),))
    return [*parts, (_REPLACEMENTS,)]


def list_files(settings: Kinetics400Dataset) -> list[Path]:
    """The official tables ``train.csv`` and ``val.csv``."""
    return [settings.lists / f"{name}.csv" for name in ROLE_OF_LIST]


def list_videos(settings: Kinetics400Dataset) -> list[Video]:
    """Every clip of the two tables; one whose file is missing gets the path where it would be looked for.

    Raises:
        DatasetError: when a table is missing or lacks a column.
    """
    present = {name: folder for folder, _, names in os.walk(settings.videos) for name in names}
    videos = []
    for (list_name, role), table in zip(ROLE_OF_LIST.items(), list_files(settings), strict=True):
        expected, splits = settings.videos / list_name, {"1": role}
        for label, youtube_id, start, end in _rows(table):
            short = f"{youtube_id}_{int(start):06d}_{int(end):06d}"
            name = f"{short}.mp4"
            folder = present.get(name) or f"{expected}/{label.replace(' ', '_')}"
            place = f"{folder}/{name}"  # a string: 240,000 paths take seconds
            videos.append(Video(f"{list_name}/{short}", place, label, youtube_id, splits))
    return videos


def _rows(path: Path) -> Iterator[tuple[str, ...]]:
    """The cells of :data:`COLUMNS`, row by row."""
    if not path.is_file():
        raise DatasetError(
            f"the table {path} is missing",
            "run `cocon data get` for this data set, or put the official train.csv and val.csv of "
            f"Kinetics-400 into {path.parent}",
        )
    with path.open(newline="", encoding="utf-8-sig") as handle:
        rows = csv.reader(handle)
        header = next(rows, [])
        for column in COLUMNS:
            if column not in header:
                raise DatasetError(
                    f"{path} has no column '{column}'", f"its columns must be {', '.join(COLUMNS)}"
                )
        cells = itemgetter(*(header.index(column) for column in COLUMNS))
        for row in rows:
            if len(row) >= len(header):
                yield cells(row)
            elif row:
                raise DatasetError(f"{path}, line {rows.line_num}: fewer cells than columns")
