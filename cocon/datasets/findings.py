"""What is wrong with the files of a data set, one sentence for each kind of fault."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cocon.datasets import registry
from cocon.datasets.manifest import TEST, TRAIN, Facts, Video
from cocon.datasets.source import Official
from cocon.datasets.splits import evaluated_splits, pretraining_splits, pretraining_videos
from cocon.datasets.video_facts import MISSING, REPAIRED, SKIPPED
from cocon.errors import DatasetError

VIDEO_SUFFIXES = frozenset({".avi", ".mp4", ".mkv", ".webm", ".mov", ".mpg", ".mpeg", ".m4v", ".wmv", ".flv"})
#: as many examples stand in a sentence
_EXAMPLES = 3


@dataclass(frozen=True)
class Finding:
    """One fault.

    Attributes:
        sentence: says what is wrong, with examples.
        serious: whether accuracies would be wrong, or incomplete beyond what the data set is known to lack.
    """

    sentence: str
    serious: bool = True


def find(
    settings: Any, videos: Sequence[Video], facts: Mapping[str, Facts], min_frames: int
) -> Iterator[Finding]:
    """All faults of a data set.

    Args:
        settings: its section of the configuration.
        videos: those of its lists.
        facts: of their files, by id; files that were not read are not checked.
        min_frames: a shorter video is reported.
    """
    published = registry.source(settings.kind).official
    yield from against_official(videos, published)
    yield from labels(settings, videos)
    if settings.own:
        yield from pretrained(settings, videos)
        yield from divided_groups(settings, videos)
    if getattr(settings, "folds", None):
        yield from untested_classes(settings, videos)
    yield from unusable(videos, facts, published.may_lack)
    yield from same_content(videos, facts)
    short = [video for video in videos if 0 < facts[video.id].frames < min_frames]
    if short:
        named = _named(f"{video.id} ({facts[video.id].frames})" for video in short)
        yield Finding(f"{_count(short)} fewer than {min_frames} frames: {named}", serious=False)
    folder = settings.root / "videos" if settings.rendered else settings.videos
    yield from in_the_folder(videos, folder)


def against_official(videos: Sequence[Video], official: Official) -> Iterator[Finding]:
    """The lists against the figures of the data set's authors."""
    labels = {video.label for video in videos}
    if official.classes and len(labels) != official.classes:
        yield Finding(f"the lists have {len(labels)} classes, published are {official.classes}")
    if official.videos and len(videos) != official.videos:
        yield Finding(f"the lists have {len(videos):,} videos, published are {official.videos:,}")
    for split, published in official.splits.items():
        counted = Counter((video.label, video.splits.get(split)) for video in videos)
        found = tuple(sum(n for (_, which), n in counted.items() if which == role) for role in (TRAIN, TEST))
        if found != published:
            yield Finding(
                f"split {split} has {found[0]:,} train and {found[1]:,} test videos, "
                f"published are {published[0]:,} and {published[1]:,}"
            )
        if official.per_class:
            odd = [
                label
                for label in sorted(labels)
                if (counted[label, TRAIN], counted[label, TEST]) != official.per_class
            ]
            if odd:
                train, test = official.per_class
                yield Finding(f"split {split} has not {train} train and {test} test videos of {_named(odd)}")


def labels(settings: Any, videos: Sequence[Video]) -> Iterator[Finding]:
    """What is missing for an evaluation; without any label, the data set is meant for pretraining."""
    if not any(video.label for video in videos):
        yield Finding("no video has a label: the data set can be pretrained on, not evaluated", serious=False)
        return
    try:
        registry.check_labels(settings, videos)
    except DatasetError as error:
        yield Finding(error.message)


def pretrained(settings: Any, videos: Sequence[Video]) -> Iterator[Finding]:
    """Whether there are videos to pretrain on, by ``pretrain_split``."""
    for split in () if settings.pretrain_on else pretraining_splits(settings, videos):
        try:
            pretraining_videos(videos, split)
        except DatasetError as error:
            yield Finding(f"pretrain_split: {error.message}; {error.hint}")


def divided_groups(settings: Any, videos: Sequence[Video]) -> Iterator[Finding]:
    """Groups with videos on both sides of a split: the same person or scene is trained on and tested."""
    for split in evaluated_splits(settings, videos):
        trained = Counter(video.group for video in videos if video.splits.get(split) == TRAIN)
        tested = Counter(video.group for video in videos if video.splits.get(split) == TEST)
        both = sorted(trained.keys() & tested.keys())
        if both:
            named = _named(f"'{group}' ({trained[group]} train, {tested[group]} test)" for group in both)
            yield Finding(
                f"split {split}: {len(both):,} group{'s are' if len(both) > 1 else ' is'} in train and test, "
                f"{named}",
                serious=False,
            )


def untested_classes(settings: Any, videos: Sequence[Video]) -> Iterator[Finding]:
    """Folds that test some of the classes only: their accuracies cannot be compared with those of others."""
    labels = {video.label for video in videos if TEST in video.splits.values()}
    lacking = []
    for split in evaluated_splits(settings, videos):
        tested = {video.label for video in videos if video.splits.get(split) == TEST}
        if len(tested) < len(labels):
            lacking.append(f"{split} ({len(tested)} of {len(labels)})")
    if lacking:
        count = f"{len(lacking):,} fold{'s do' if len(lacking) > 1 else ' does'}"
        yield Finding(f"{count} not test every class: {_named(lacking)}", serious=False)


def unusable(videos: Sequence[Video], facts: Mapping[str, Facts], may_lack: float) -> Iterator[Finding]:
    """Videos without a file, or with one that cannot be decoded, or not whole."""
    missing = [video for video in videos if facts[video.id].status == MISSING]
    if missing:
        named = _named(str(video.path) for video in missing)
        yield Finding(f"{_count(missing)} no file: {named}", serious=len(missing) > may_lack * len(videos))
    for word in (SKIPPED, REPAIRED):
        bad = [video for video in videos if facts[video.id].status.startswith(word)]
        if bad:
            reasons = _named(f"{v.path} ({facts[v.id].status.partition(': ')[2]})" for v in bad)
            yield Finding(
                f"{len(bad):,} video{'s' if len(bad) > 1 else ''} will be {word}: {reasons}", word == SKIPPED
            )


def same_content(videos: Sequence[Video], facts: Mapping[str, Facts]) -> Iterator[Finding]:
    """Files with the same bytes; worst where one is trained on and the other is a test."""
    groups = defaultdict(list)
    for video in videos:
        if facts[video.id].checksum:
            groups[facts[video.id].checksum].append(video)
    twins = [group for group in groups.values() if len(group) > 1]
    leaking = set()
    for split in sorted({name for group in twins for video in group for name in video.splits}):
        leaks = []
        for number, group in enumerate(twins):
            train = [video.id for video in group if video.splits.get(split) == TRAIN]
            test = [video.id for video in group if video.splits.get(split) == TEST]
            if train and test:
                leaks.append(f"{train[0]} (train) is {test[0]} (test)")
                leaking.add(number)
        if leaks:
            yield Finding(f"split {split} leaks: the same content is in train and test, {_named(leaks)}")
    rest = [group for number, group in enumerate(twins) if number not in leaking]
    if rest:
        named = _named(" = ".join(video.id for video in group) for group in rest)
        torn = any(len({video.label for video in group}) > 1 for group in rest)
        also = ", some of them under two labels" if torn else ""
        yield Finding(f"the same content has several names{also}: {named}", serious=torn)


def in_the_folder(videos: Sequence[Video], folder: Path) -> Iterator[Finding]:
    """Files in the folder of another class, and files that no list names."""
    by_name: dict[str, list[Video]] = defaultdict(list)
    for video in videos:
        by_name[video.path.name].append(video)
    labels = {_plain(video.label) for video in videos}
    listed = {os.path.normpath(video.location) for video in videos}
    misplaced, unlisted = [], []
    for where, _, names in os.walk(folder):
        inside = _plain(os.path.basename(where))
        for name in names:
            path, owners = os.path.join(where, name), by_name.get(name, [])
            if len(owners) == 1 and inside in labels and inside != _plain(owners[0].label):
                misplaced.append(f"{path} belongs to {owners[0].label}")
            elif os.path.normpath(path) not in listed and os.path.splitext(name)[1].lower() in VIDEO_SUFFIXES:
                unlisted.append(path)
    if misplaced:
        yield Finding(f"{len(misplaced):,} in the folder of another class: {_named(sorted(misplaced))}")
    if unlisted:
        yield Finding(f"{len(unlisted):,} files are in no list: {_named(sorted(unlisted))}", serious=False)


def _plain(label: str) -> str:
    return unicodedata.normalize("NFC", label).replace(" ", "_").lower()


def _count(videos: Sequence[object]) -> str:
    return f"{len(videos):,} video{'s have' if len(videos) > 1 else ' has'}"


def _named(examples: Iterable[str]) -> str:
    found = list(examples)
    more = f" and {len(found) - _EXAMPLES:,} more" if len(found) > _EXAMPLES else ""
    return ", ".join(found[:_EXAMPLES]) + more
