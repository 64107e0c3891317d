"""HMDB51 (Kuehne et al. 2011): 6,766 videos, 51 classes, 3 official splits of 3,570 + 1,530."""

from __future__ import annotations

import re
from pathlib import Path

from cocon.config.schema import Hmdb51Dataset
from cocon.datasets.manifest import TEST, TRAIN, UNUSED, Video
from cocon.datasets.source import Archive, Download, Extent, Official, Part, Source
from cocon.download import Pin
from cocon.errors import DatasetError
from cocon.tables import read_text

SPLITS = ("1", "2", "3")
ROLE_OF_FLAG = {"0": UNUSED, "1": TRAIN, "2": TEST}
_ADVICE = (
    "get them with `snakemake --cores 1 get_{name}` (2 GB), or put your hmdb51_org.rar into {archives} "
    "first, or the folders of the classes into {videos}; docs/datasets.md says more"
)
_COUNT = 6_766
_OFFICIAL = Official(
    _COUNT,
    51,
    dict.fromkeys(SPLITS, (3570, 1530)),
    per_class=(70, 30),
    extent=Extent(_COUNT, 630_000, (240, 320), "mpeg4"),
)
_LIST_NAME = re.compile(r"\w+_test_split[123]\.txt")
# The authors' account, then their own server, which has lost its files. The hashes are those that torchvision
# checks; the sizes are not published.
_MIRRORS = (
    "https://huggingface.co/datasets/Serrelab/hmdb51/resolve/main",
    "https://serre-lab.clps.brown.edu/wp-content/uploads/2013/10",
)
_LISTS: tuple[Part, ...] = (
    (
        Archive(
            "test_train_splits.rar",
            tuple(f"{mirror}/test_train_splits.rar" for mirror in _MIRRORS),
            Pin(0, "229c94f845720d01eb3946d39f39292ea962d50a18136484aa47c1eba251d2b7"),
        ),
    ),
)
_VIDEOS: Part = (
    Archive(
        "hmdb51_org.rar",
        tuple(f"{mirror}/hmdb51_org.rar" for mirror in _MIRRORS),
        Pin(0, "9e714a0d8b76104d76e932764a7ca636f929fff66279cda3f2e326fa912a328e"),
    ),
)
_LIST = re.compile(r"(?P<label>.+)_test_split(?P<split>[123])\.txt")


def list_parts(fetch: object) -> list[Part]:
    """The videos: one rar that holds a rar per class."""
    return [_VIDEOS]


def _list_files(settings: Hmdb51Dataset) -> list[Path]:
    """The official lists, one per class and split.

    Raises:
        DatasetError: when there is none, or a class lacks one of its three.
    """
    found = sorted(path for path in settings.lists.glob("*_test_split?.txt") if _LIST.fullmatch(path.name))
    if not found:
        raise DatasetError(
            f"there are no split lists in {settings.lists}",
            "run `cocon data get` for this data set, or unpack test_train_splits.rar of HMDB51 "
            "so that files like wave_test_split1.txt lie there",
        )
    names = {path.name for path in found}
    for path in found:
        label = path.name.rpartition("_test_split")[0]
        for split in SPLITS:
            if f"{label}_test_split{split}.txt" not in names:
                raise DatasetError(
                    f"the split list {settings.lists / label}_test_split{split}.txt is missing",
                    "unpack test_train_splits.rar of HMDB51 again",
                )
    return found


def list_videos(settings: Hmdb51Dataset) -> list[Video]:
    """Every video that an official list names; flag 1 is training, 2 test, 0 neither."""
    videos: dict[str, Video] = {}
    for path in _list_files(settings):
        match = _LIST.fullmatch(path.name)
        assert match is not None
        label, split = match["label"], match["split"]
        for line in read_text(path).splitlines():
            if not line.strip():
                continue
            name, _, flag = line.strip().rpartition(" ")
            if flag not in ROLE_OF_FLAG:
                raise DatasetError(f"{path}: the line '{line.strip()}' is not '<name>.avi <0|1|2>'")
            video_id = f"{label}/{name.removesuffix('.avi')}"
            if video_id not in videos:
                group = film_of(name, label)
                videos[video_id] = Video(
                    video_id, settings.videos / label / name, label, group, dict.fromkeys(SPLITS, UNUSED)
                )
            videos[video_id].splits[split] = ROLE_OF_FLAG[flag]
    return list(videos.values())


def film_of(name: str, label: str) -> str:
    """The film that a clip was cut from: what stands before ``_<label>_`` in its name."""
    return name.rpartition(f"_{label}_")[0] or name


SOURCE = Source("HMDB51", list_videos, _ADVICE, _OFFICIAL, Download(_LIST_NAME, _LISTS, list_parts))
