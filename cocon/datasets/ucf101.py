"""UCF101 (Soomro, Zamir and Shah 2012): 13,320 videos, 101 classes, 3 official splits."""

from __future__ import annotations

import re
from pathlib import Path

from cocon.config.schema import Ucf101Dataset
from cocon.datasets.manifest import TEST, TRAIN, UNUSED, Video
from cocon.errors import DatasetError

SPLITS = ("1", "2", "3")
ADVICE = (
    "get UCF101.rar from the University of Central Florida (https://www.crcv.ucf.edu/data/UCF101.php) and "
    "unpack it so that the folders of the classes lie in {videos}"
)
_NAME = re.compile(r"v_(?P<label>\w+)_(?P<group>g\d+)_c\d+")


def list_files(settings: Ucf101Dataset) -> list[Path]:
    """The official lists of all three splits."""
    return [settings.lists / f"{role}list0{split}.txt" for split in SPLITS for role in (TRAIN, TEST)]


def list_videos(settings: Ucf101Dataset) -> list[Video]:
    """Every video that an official list names.

    Raises:
        DatasetError: when a list is missing or has a line of another form.
    """
    roles: dict[str, dict[str, str]] = {}
    for split in SPLITS:
        for role in (TRAIN, TEST):
            path = settings.lists / f"{role}list0{split}.txt"
            for name in _names(path):
                roles.setdefault(name, dict.fromkeys(SPLITS, UNUSED))[split] = role
    return [_video(settings.videos, name, splits) for name, splits in roles.items()]


def _names(path: Path) -> list[str]:
    if not path.is_file():
        raise DatasetError(
            f"the split list {path} is missing",
            "unpack UCF101TrainTestSplits-RecognitionTask.zip (https://www.crcv.ucf.edu/data/UCF101.php) "
            f"so that its files lie in {path.parent}",
        )
    # Lines are "Class/name.avi 1" (train) or "Class/name.avi" (test), with CRLF.
    return [line.split()[0] for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _video(folder: Path, name: str, splits: dict[str, str]) -> Video:
    label, _, file_name = name.partition("/")
    match = _NAME.match(file_name)
    if match is None:
        raise DatasetError(f"'{name}' in the split lists is not of the form Class/v_Class_g01_c01.avi")
    return Video(name.removesuffix(".avi"), folder / name, label, f"{label}_{match['group']}", splits)
