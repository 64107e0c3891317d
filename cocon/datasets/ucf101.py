"""UCF101 (Soomro, Zamir and Shah 2012): 13,320 videos, 101 classes, 3 official splits."""

from __future__ import annotations

import re
from pathlib import Path

from cocon.config.schema import Ucf101Dataset
from cocon.datasets.manifest import TEST, TRAIN, UNUSED, Video
from cocon.datasets.source import Archive, Download, Extent, Official, Part, Source
from cocon.download import Pin
from cocon.errors import DatasetError
from cocon.tables import read_text

SPLITS = ("1", "2", "3")
_ADVICE = (
    "get them with `snakemake --cores 1 get_{name}` (7 GB), or put your UCF101.rar into {archives} first, "
    "or the folders of the classes into {videos}; docs/datasets.md says more"
)
_COUNT = 13_320
_OFFICIAL = Official(
    _COUNT,
    101,
    {"1": (9537, 3783), "2": (9586, 3734), "3": (9624, 3696)},
    extent=Extent(_COUNT, 2_500_000, (240, 320), "mpeg4"),
)
_LIST_NAME = re.compile(r"classInd\.txt|(train|test)list0[123]\.txt")
_CRCV = "https://www.crcv.ucf.edu"
# Sizes and hashes: those that torchvision and TensorFlow Datasets check, and the server's own Content-Length.
_LISTS: tuple[Part, ...] = (
    (
        Archive(
            "UCF101TrainTestSplits-RecognitionTask.zip",
            (
                f"{_CRCV}/data/UCF101/UCF101TrainTestSplits-RecognitionTask.zip",
                f"{_CRCV}/wp-content/uploads/2019/03/UCF101TrainTestSplits-RecognitionTask.zip",
                "http://crcv.ucf.edu/data/UCF101/UCF101TrainTestSplits-RecognitionTask.zip",
                "https://huggingface.co/datasets/quchenyuan/UCF101-ZIP/resolve/main/"
                "UCF101TrainTestSplits-RecognitionTask.zip",
            ),
            Pin(113_943, "5c0d1a53b8ed364a2ac830a73f405e51bece7d98ce1254fd19ed4a36b224bd27"),
        ),
    ),
)
_VIDEOS: Part = (
    Archive(
        "UCF101.rar",
        (
            f"{_CRCV}/data/UCF101/UCF101.rar",
            f"{_CRCV}/datasets/human-actions/ucf101/UCF101.rar",
            "http://crcv.ucf.edu/data/UCF101/UCF101.rar",
        ),
        Pin(6_932_971_618, "ca8dfadb4c891cb11316f94d52b6b0ac2a11994e67a0cae227180cd160bd8e55"),
    ),
    Archive(
        "UCF101_videos.zip",
        ("https://storage.googleapis.com/thumos14_files/UCF101_videos.zip",),
        Pin(6_960_400_115, "dabf56f573cd19c79e096563529fec8126a2a34e18e10c72eb621dd687532b0d"),
    ),
)
_NAME = re.compile(r"v_(?P<label>\w+)_(?P<group>g\d+)_c\d+")


def list_parts(fetch: object) -> list[Part]:
    """The videos: the authors' rar, or the zip of the THUMOS challenge, which has the same in one folder."""
    return [_VIDEOS]


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
            "run `cocon data get` for this data set, or unpack UCF101TrainTestSplits-RecognitionTask.zip "
            f"(https://www.crcv.ucf.edu/data/UCF101.php) so that its files lie in {path.parent}",
        )
    # Lines are "Class/name.avi 1" (train) or "Class/name.avi" (test), with CRLF.
    return [line.split()[0] for line in read_text(path).splitlines() if line.strip()]


def _video(folder: Path, name: str, splits: dict[str, str]) -> Video:
    label, _, file_name = name.partition("/")
    match = _NAME.match(file_name)
    if match is None:
        raise DatasetError(f"'{name}' in the split lists is not of the form Class/v_Class_g01_c01.avi")
    return Video(name.removesuffix(".avi"), folder / name, label, f"{label}_{match['group']}", splits)


SOURCE = Source("UCF101", list_videos, _ADVICE, _OFFICIAL, Download(_LIST_NAME, _LISTS, list_parts))
