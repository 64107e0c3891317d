"""Selects the training videos and those held out for validation."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cocon.config.schema import Pretraining
from cocon.datasets.manifest import TEST, Video
from cocon.datasets.splits import pretraining_videos
from cocon.errors import DatasetError
from cocon.shards import ShardSet

#: of the videos that select an epoch, at most one in this many is a held-out query
_QUERY_SHARE = 4
#: batches of videos; with more, the search for held-out videos takes too long
_PLENTY = 100


@dataclass(frozen=True)
class Selection:
    """Ids of the videos of a run, and the reasons why others are left out (reason to number of videos)."""

    train: list[str]
    validation: list[str]
    left_out: dict[str, int]


def select_videos(
    videos: Sequence[Video], split: str, shards: dict[str, ShardSet], validation_fraction: float, seed: int
) -> Selection:
    """Choose the training videos of a split that every view has, and hold out some of their groups.

    Unlabelled videos count; a label is not needed here. Test videos of the split are never touched.

    Args:
        videos: the manifest.
        split: name of the split, or ``common`` or ``all``: see :mod:`cocon.datasets.splits`.
        shards: the shards of every view that is trained.
        validation_fraction: part of the videos to hold out, as whole groups; 0: none.
        seed: decides which groups are held out.

    Raises:
        DatasetError: when no training video is left, or there is only one group and it is to be divided.
    """
    candidates = pretraining_videos(videos, split)
    left_out: Counter[str] = Counter()
    tables = {view: shard_set.videos for view, shard_set in shards.items()}
    chosen = []
    for video in candidates:
        missing = [view for view, table in tables.items() if video.id not in table]
        skipped = [view for view, table in tables.items() if video.id in table and not table[video.id].usable]
        if missing:
            left_out[f"not in the shards of {', '.join(missing)}"] += 1
        elif skipped:
            left_out[f"skipped by the extraction of {', '.join(skipped)}"] += 1
        else:
            chosen.append(video)
    if not chosen:
        reasons = "; ".join(f"{count} {reason}" for reason, count in left_out.items())
        raise DatasetError(
            f"split '{split}' has no training videos to learn from" + (f": {reasons}" if reasons else ""),
            "check the column of this split in the manifest, and `cocon shards show --status`",
        )
    held_out = _held_out_groups(chosen, validation_fraction, seed)
    return Selection(
        train=sorted(video.id for video in chosen if group_of(video) not in held_out),
        validation=scattered([video.id for video in chosen if group_of(video) in held_out], str(seed)),
        left_out=dict(left_out),
    )


@dataclass(frozen=True)
class Choosing:
    """Labelled training videos that select the best epoch by their neighbours.

    Attributes:
        labels: class number by id.
        groups: group number by id.
        queries: ids whose neighbours are looked for, each among all videos of other groups.
    """

    labels: dict[str, int] = field(default_factory=dict)
    groups: dict[str, int] = field(default_factory=dict)
    queries: list[str] = field(default_factory=list)


def choosing_videos(videos: Sequence[Video], selection: Selection, count: int, seed: int) -> Choosing:
    """At most ``count`` labelled training videos, chosen by a hash of their names.

    No label of a video that is a test video in any split of the manifest is used. Queries are the videos
    held out for validation, at most a quarter of all; if none of them is usable, all videos. A video whose
    class is in no other group is no query: it has nothing to find.

    Args:
        videos: the manifest.
        selection: what is trained on and what is held out.
        count: how many.
        seed: decides which.

    Raises:
        DatasetError: there are fewer than two classes, or every class is in one group only.
    """
    usable = {*selection.train, *selection.validation}
    labelled = {v.id: v for v in videos if v.id in usable and v.label and TEST not in v.splits.values()}
    ids = scattered(labelled, str(seed))
    held_out = set(selection.validation)
    queries = [name for name in ids if name in held_out][: max(1, count // _QUERY_SHARE)]
    chosen = queries + [name for name in ids if name not in held_out][: count - len(queries)]
    groups_of: dict[str, set[str]] = {}
    for name in chosen:
        groups_of.setdefault(labelled[name].label, set()).add(group_of(labelled[name]))
    found = {name for name in chosen if len(groups_of[labelled[name].label]) > 1}
    if len(groups_of) < 2 or not found:
        groups = len(set().union(*groups_of.values()))
        raise DatasetError(
            "best_by: probe needs labelled training videos of two classes or more, and a class with videos "
            f"of two groups; there are {len(chosen)} labelled ones, of {len(groups_of)} classes and "
            f"{groups} groups (videos that are tested in any split do not count)",
            "set pretraining.best_by to validation_loss, or result to last, or label training videos",
        )
    class_numbers = {label: number for number, label in enumerate(sorted(groups_of))}
    group_numbers = {name: number for number, name in enumerate(sorted(set().union(*groups_of.values())))}
    return Choosing(
        {name: class_numbers[labelled[name].label] for name in chosen},
        {name: group_numbers[group_of(labelled[name])] for name in chosen},
        [name for name in queries if name in found] or [name for name in chosen if name in found],
    )


def check_batches(
    videos: Sequence[Video],
    split: str,
    pretraining: Pretraining,
    seed: int,
    processes: Mapping[str, int],
) -> None:
    """Check before anything runs that the training videos fill a batch and have labels to select by.

    Unusable videos are not known yet, so this finds only certain failures.

    Args:
        videos: those of the lists, or of the manifest.
        split: the split that is pretrained on.
        pretraining: batches, and the part of the videos that is held out.
        seed: decides which groups are held out.
        processes: how many train together, by stage ("stage1", "stage2").

    Raises:
        DatasetError: there is no training video, or only one group that is to be divided, or too few for a
            batch, or too few labels.
    """
    candidates = pretraining_videos(videos, split)
    if pretraining.reads_labels:
        choosing_videos(videos, Selection([v.id for v in candidates], [], {}), pretraining.best_videos, seed)
    batches = {stage: count * getattr(pretraining, stage).batch_size for stage, count in processes.items()}
    if len(candidates) > _PLENTY * max(batches.values()):
        return
    held_out = _held_out_groups(candidates, pretraining.validation_fraction, seed)
    left = sum(group_of(video) not in held_out for video in candidates)
    for stage, batch in batches.items():
        if left < batch:
            without = f", {len(candidates) - left} held out," if held_out else ""
            raise DatasetError(
                f"{left} training videos{without} do not fill one batch of {batch} clips",
                f"lower pretraining.{stage}.batch_size, use fewer processes, or add videos",
            )


def group_of(video: Video) -> str:
    """The group of a video; one that has none is a group of its own."""
    return video.group or video.id


def scattered(names: Iterable[str], key: str) -> list[str]:
    """Sort in a pseudo-random order; a new name does not change the order of the others.

    Args:
        names: what is ordered.
        key: decides the order.
    """

    def digest(name: str) -> bytes:
        return hashlib.sha256(f"{key}:{name}".encode(errors="surrogateescape")).digest()

    return sorted(names, key=digest)


def _held_out_groups(videos: list[Video], fraction: float, seed: int) -> set[str]:
    """Whole groups, until they hold ``fraction`` of the videos; at least one group stays for training."""
    if fraction == 0:
        return set()
    sizes = Counter(group_of(video) for video in videos)
    if len(sizes) < 2:
        raise DatasetError(
            f"all {len(videos)} training videos belong to one group, so none can be held out for validation",
            "set pretraining.validation_fraction to 0, or give the videos groups in the manifest",
        )
    held_out: set[str] = set()
    held_videos = 0
    for group in scattered(sizes, str(seed))[:-1]:
        if held_videos >= fraction * len(videos):
            break
        held_out.add(group)
        held_videos += sizes[group]
    return held_out
