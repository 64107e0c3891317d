"""The amount of work: the videos of a data set, and how many of them each stage uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cocon.config.schema import Dataset
from cocon.datasets.manifest import TEST, TRAIN, Video
from cocon.datasets.registry import list_videos, source
from cocon.datasets.splits import evaluated_splits, pretraining_splits, role_in
from cocon.errors import DatasetError


@dataclass(frozen=True)
class Roles:
    """How many videos a data set has, and how many of them a network learns from or is tested on.

    Attributes:
        videos: all of them; these are extracted.
        pretrained: videos that encoders are pretrained on, with or without a label; of several trainings the
            mean.
        labelled: videos that any split trains or tests a classifier with; features are made of these.
        train: labelled training videos of a split, the mean over the splits.
        test: labelled test videos of a split, the mean over the splits.
        classes: number of labels.
        source: where the numbers come from.
        splits: that are evaluated.
        listed: number of splits that the lists have.
    """

    videos: int
    pretrained: int
    labelled: int
    train: int
    test: int
    classes: int
    source: str
    splits: tuple[str, ...] = ("1",)
    listed: int = 1


def roles_of(name: str, settings: Dataset) -> tuple[Roles, list[Video]]:
    """The numbers of a data set and its videos: from its lists, or, before there are any, as published.

    Raises:
        DatasetError: there are no lists, and it is not known how large the data set is.
    """
    try:
        videos = list_videos(settings)
    except DatasetError:
        official = source(settings.kind).official
        if (extent := official.extent) is None:
            raise
        splits = settings.splits
        train, test = official.typical_split
        roles = Roles(
            videos=extent.videos,
            pretrained=train,
            labelled=extent.videos,
            train=train,
            test=test,
            classes=official.classes,
            source=extent.source,
            splits=splits,
            listed=len(splits),
        )
        return roles, []
    splits, pretrained_on = evaluated_splits(settings, videos), pretraining_splits(settings, videos)
    return count(videos, splits, pretrained_on, f"the lists of {name}"), videos


def count(videos: list[Video], splits: Sequence[str], pretrained_on: Sequence[str], source: str) -> Roles:
    """The numbers of these videos.

    Args:
        videos: of the lists.
        splits: that are evaluated.
        pretrained_on: the split, ``common`` or ``all`` of each pretraining.
        source: where the numbers come from.
    """

    def labelled(split: str, role: str) -> int:
        return sum(bool(video.label) and video.splits.get(split) == role for video in videos)

    return Roles(
        videos=len(videos),
        pretrained=round(
            sum(role_in(video, split) == TRAIN for video in videos for split in pretrained_on)
            / len(pretrained_on)
        ),
        labelled=sum(bool(v.label) and not {TRAIN, TEST}.isdisjoint(v.splits.values()) for v in videos),
        train=round(sum(labelled(split, TRAIN) for split in splits) / len(splits)),
        test=round(sum(labelled(split, TEST) for split in splits) / len(splits)),
        classes=len({video.label for video in videos} - {""}),
        source=source,
        splits=tuple(splits),
        listed=len({name for video in videos for name in video.splits}),
    )
