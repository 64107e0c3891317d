"""Every kind of data set by name.

A new one is a module with its ``SOURCE``, a line here, and a class in the schema.
"""

from __future__ import annotations

from collections.abc import Sequence
from pkgutil import resolve_name
from typing import Any

from cocon.datasets.checks import check_classes, check_ids, check_same_classes
from cocon.datasets.manifest import VALIDATION, Video, no_collection
from cocon.datasets.source import Source
from cocon.datasets.splits import evaluated_splits, tested_instead

SOURCES = {
    "demo": "cocon.datasets.demo",
    "ucf101": "cocon.datasets.ucf101",
    "hmdb51": "cocon.datasets.hmdb51",
    "kinetics400": "cocon.datasets.kinetics400",
    "folder": "cocon.datasets.folder",
}


def source(kind: str) -> Source:
    """What is known of a kind of data set; its module is imported on first use."""
    found: Source = resolve_name(f"{SOURCES[kind]}:SOURCE")
    return found


def list_videos(settings: Any) -> list[Video]:
    """The videos of a data set in the order of their ids, after a check of the ids.

    With ``evaluate_on: validation`` the validation videos have the role of test videos, which have none.

    Raises:
        DatasetError: when lists are missing or contradict themselves, or there are no validation videos to
            evaluate on, with what to do about it.
    """
    with no_collection():
        videos: Sequence[Video] = source(settings.kind).list_videos(settings)
    check_ids(videos)
    if settings.evaluate_on == VALIDATION:
        videos = tested_instead(videos, VALIDATION)
    return sorted(videos, key=lambda video: video.id)


def check_labels(settings: Any, videos: Sequence[Video]) -> None:
    """What an evaluation needs, and pretraining does not: labels in every split that is evaluated.

    Args:
        settings: section of the data set.
        videos: those of its lists.

    Raises:
        DatasetError: a split is not there, has no labelled training or test video, or one class lacks either,
            or is in some splits only. In a fold, a class may lack test videos.
    """
    folds = bool(getattr(settings, "folds", None))
    splits = evaluated_splits(settings, videos)
    for split in splits:
        check_classes(videos, split, folds=folds)
    if not folds:
        check_same_classes(videos, splits)
