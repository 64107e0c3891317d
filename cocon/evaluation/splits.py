"""The labelled half of a manifest: which videos train, which test, and their class numbers."""

from __future__ import annotations

import logging
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from cocon.datasets.manifest import TEST, TRAIN, Video, videos_of
from cocon.errors import DatasetError
from cocon.terminal import printable

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Split:
    """Labelled videos of one split: ``train`` and ``test`` map a video's id to its class number.

    ``classes`` holds the names of all classes of the split, sorted: the same for every view, whatever
    videos a view lacks, so that scores of different views can be added.
    """

    name: str
    classes: tuple[str, ...]
    train: Mapping[str, int]
    test: Mapping[str, int]

    @cached_property
    def chance(self) -> float:
        """Accuracy of a guess among the classes of the test list."""
        return 1 / len(set(self.test.values()))

    def available(self, ids: Container[str]) -> tuple[list[str], list[str]]:
        """The training and the test videos that are among ``ids``, in the manifest's order.

        Raises:
            DatasetError: No training or no test video is left, or only one class to learn.
        """
        train = [video for video in self.train if video in ids]
        test = [video for video in self.test if video in ids]
        for role, left, listed in (("training", train, self.train), ("test", test, self.test)):
            if not left:
                raise DatasetError(
                    f"split {self.name}: none of the {len(listed)} {role} videos is available",
                    "look at the status of the videos in the shards: all of these were skipped",
                )
        known = {self.train[video] for video in train}
        if len(known) < 2:
            raise DatasetError(
                f"split {self.name}: only the class '{self.classes[known.pop()]}' has training videos, "
                "so there is nothing to classify",
                "add training videos of at least one more class",
            )
        unknown = {self.test[video] for video in test} - known
        if unknown:
            names = ", ".join(self.classes[number] for number in sorted(unknown))
            log.warning("no training video for: %s; their test videos count as wrong", printable(names))
        return train, test


def labelled_split(videos: Sequence[Video], name: str) -> Split:
    """The labelled training and test videos of the split called ``name``.

    Raises:
        DatasetError: The manifest has no such split, or it has no labelled training or test video.
    """
    roles = {
        role: {video.id: video.label for video in videos_of(videos, name, role, labelled=True)}
        for role in (TRAIN, TEST)
    }
    for role, members in roles.items():
        if not members:
            raise DatasetError(
                f"split {name} has no labelled {role} video",
                f"give at least some videos a label and '{role}' in the column of split {name}",
            )
    classes = tuple(sorted({label for members in roles.values() for label in members.values()}))
    number = {label: index for index, label in enumerate(classes)}
    train, test = ({video: number[label] for video, label in members.items()} for members in roles.values())
    return Split(name, classes, train, test)
