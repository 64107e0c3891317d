"""Which splits a data set is evaluated on, and which videos its encoders are pretrained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from cocon.config.schema import ALL, COMMON, EACH
from cocon.datasets.manifest import TEST, TRAIN, UNUSED, Video, in_order, videos_of
from cocon.errors import DatasetError

#: in place of a split: takes part in any of them
ANY = "any"


def evaluated_splits(settings: Any, videos: Sequence[Video]) -> tuple[str, ...]:
    """The splits that a data set is evaluated on: those of its section, or all that its videos have.

    Args:
        settings: section of the data set.
        videos: those of its lists.
    """
    chosen: tuple[str, ...] = settings.splits
    return chosen or tuple(in_order({name for video in videos for name in video.splits}))


def stand_apart(settings: Any, listed: int) -> bool:
    """Whether a change of one split leaves the results of the others alone.

    It does in tables of one's own, and where every split has encoders of its own. The lists of public data
    sets do not change; their results have always depended on all splits together.

    Args:
        settings: section of the data set.
        listed: splits that its lists have.
    """
    return listed > 1 and (settings.own or settings.pretrain_split == EACH)


def pretraining_splits(settings: Any, videos: Sequence[Video]) -> tuple[str, ...]:
    """What the encoders of a data set are pretrained on, once each: see :func:`role_in`."""
    return tuple(dict.fromkeys(map(settings.pretrained_on, evaluated_splits(settings, videos))))


def role_in(video: Video, split: str) -> str:
    """The role of a video in a split, or in the pretraining that sees ``common`` or ``all`` videos.

    In ``any``, which features are made for, it is "train" for all that train or test in a split.
    """
    if split == ANY:
        return UNUSED if {TRAIN, TEST}.isdisjoint(video.splits.values()) else TRAIN
    if split == ALL:
        return TRAIN
    if split == COMMON:
        return TRAIN if set(video.splits.values()) == {TRAIN} else UNUSED
    return video.splits.get(split, UNUSED)


def tested_instead(videos: Sequence[Video], role: str) -> list[Video]:
    """The same videos; those with another role are tested, and the test videos have no role.

    Raises:
        DatasetError: a split has no video with that role.
    """
    for split in in_order({name for video in videos for name in video.splits}):
        if not videos_of(videos, split, role, labelled=True):
            raise DatasetError(
                f"split '{split}' has no labelled {role} video, and evaluate_on is '{role}'",
                f"give some videos the role '{role}' (of the demo: set {role}_subjects), or leave "
                "evaluate_on out",
            )
    new = {role: TEST, TEST: UNUSED}
    return [
        replace(video, splits={name: new.get(own, own) for name, own in video.splits.items()})
        for video in videos
    ]


def limited_to(videos: Sequence[Video], split: str) -> list[Video]:
    """The same videos with their role in one split only, see :func:`role_in`.

    Raises:
        DatasetError: there is no such split.
    """
    if split not in (ALL, COMMON, ANY):
        videos_of(videos, split, TRAIN)
    return [replace(video, splits={split: role_in(video, split)}) for video in videos]


def with_labels_to_choose_by(settings: Any, videos: Sequence[Video]) -> list[Video]:
    """The same videos; those that an encoder is tested on have no label.

    So that a pretraining which chooses an epoch by labels does not read them. Where every split has encoders
    of its own, its table says which videos it tests; one pretraining for several splits tests the test videos
    of all of them.

    Args:
        settings: section of the data set.
        videos: those of its lists.
    """
    if settings.pretrain_split == EACH:
        return list(videos)
    return [replace(video, label="") if TEST in video.splits.values() else video for video in videos]


def pretraining_videos(videos: Sequence[Video], split: str) -> list[Video]:
    """The videos that encoders are pretrained on, with or without a label.

    Args:
        videos: the manifest.
        split: a split: its training videos; ``common``: those that train in every split; ``all``: all.

    Raises:
        DatasetError: there is no such split, or no such video.
    """
    if split not in (ALL, COMMON):
        found = videos_of(videos, split, TRAIN)
        if not found:
            raise DatasetError(f"split '{split}' has no training videos", "check the lists, or the table")
        return found
    found = [video for video in videos if role_in(video, split) == TRAIN]
    if not found:
        raise DatasetError(
            "no video is a training video in every split",
            "set pretrain_split to 'each' or 'all', see docs/datasets.md",
        )
    return found


def seen_in_pretraining(
    videos: Sequence[Video], splits: Sequence[str], pretrained_on: Sequence[Sequence[Video]]
) -> dict[str, tuple[int, int]]:
    """How many labelled test videos the encoders have seen, and of how many, by split; only splits with any.

    Args:
        videos: the manifest.
        splits: that are evaluated.
        pretrained_on: the videos of the pretraining for each of them.
    """
    found = {}
    for split, learned in zip(splits, pretrained_on, strict=True):
        known = {str(video.location) for video in learned}
        tested = [str(video.location) for video in videos_of(videos, split, TEST, labelled=True)]
        if seen := sum(video in known for video in tested):
            found[split] = seen, len(tested)
    return found
