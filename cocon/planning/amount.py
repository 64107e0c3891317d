"""How much there is to do: the videos of a data set and what becomes of them."""

from __future__ import annotations

from dataclasses import dataclass

from cocon.config.schema import Dataset
from cocon.datasets.manifest import TEST, TRAIN, Video
from cocon.datasets.registry import list_videos
from cocon.errors import DatasetError


@dataclass(frozen=True)
class Roles:
    """How many videos a data set has, and how many of them a network learns from or is tested on.

    Attributes:
        videos: all of them; these are extracted.
        pretrained: training videos of the split that is pretrained on, with or without a label.
        labelled: videos that any split trains or tests a classifier with; features are made of these.
        train: labelled training videos of a split, the mean over the splits.
        test: labelled test videos of a split, the mean over the splits.
        classes: number of labels.
        source: where the numbers come from.
    """

    videos: int
    pretrained: int
    labelled: int
    train: int
    test: int
    classes: int
    source: str


#: UCF101: its first list; HMDB51: any list; Kinetics-400: what can still be had, 50 clips per class of it for
#: validation (Kay et al. 2017, arXiv 1705.06950)
PUBLISHED = {
    "ucf101": Roles(13_320, 9_537, 13_320, 9_537, 3_783, 101, "the published data set"),
    "hmdb51": Roles(6_766, 3_570, 6_766, 3_570, 1_530, 51, "the published data set"),
    "kinetics400": Roles(
        240_000, 220_000, 240_000, 220_000, 20_000, 400, "the published data set, as far as it can be had"
    ),
}


def roles_of(name: str, settings: Dataset) -> tuple[Roles, list[Video]]:
    """The numbers of a data set and its videos: from its lists, or, before there are any, as published.

    Raises:
        DatasetError: there are no lists, and the data set is not a public one.
    """
    try:
        videos = list_videos(settings)
    except DatasetError:
        if settings.kind not in PUBLISHED:
            raise
        return PUBLISHED[settings.kind], []
    return count(videos, settings.splits, settings.pretrain_split, f"the lists of {name}"), videos


def count(videos: list[Video], splits: tuple[str, ...], pretrain_split: str, source: str) -> Roles:
    """The numbers of these videos."""

    def labelled(split: str, role: str) -> int:
        return sum(bool(video.label) and video.splits.get(split) == role for video in videos)

    return Roles(
        videos=len(videos),
        pretrained=sum(video.splits.get(pretrain_split) == TRAIN for video in videos),
        labelled=sum(bool(v.label) and not {TRAIN, TEST}.isdisjoint(v.splits.values()) for v in videos),
        train=round(sum(labelled(split, TRAIN) for split in splits) / len(splits)),
        test=round(sum(labelled(split, TEST) for split in splits) / len(splits)),
        classes=len({video.label for video in videos} - {""}),
        source=source,
    )
