"""Which videos are trained on, and which of them are held out for validation."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cocon.config.schema import Pretraining
from cocon.datasets.manifest import Video
from cocon.datasets.splits import pretraining_videos
from cocon.errors import DatasetError
from cocon.shards import ShardSet

#: batches of videos; with more, the search for those that are held out takes longer than it is worth
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
            "look at the column of this split in the manifest, and at `cocon shards`",
        )
    held_out = _held_out_groups(chosen, validation_fraction, seed)
    return Selection(
        train=sorted(video.id for video in chosen if _group(video) not in held_out),
        validation=_scattered([video.id for video in chosen if _group(video) in held_out], seed),
        left_out=dict(left_out),
    )


def check_batches(
    videos: Sequence[Video],
    split: str,
    pretraining: Pretraining,
    seed: int,
    processes: Mapping[str, int],
) -> None:
    """Before anything runs: the training videos of the lists fill a batch of every stage.

    Which of them cannot be used is not known yet, so this finds no more than what fails in any case.

    Args:
        videos: those of the lists, or of the manifest.
        split: the split that is pretrained on.
        pretraining: batches, and the part of the videos that is held out.
        seed: decides which groups are held out.
        processes: how many train together, by stage ("stage1", "stage2").

    Raises:
        DatasetError: there is no training video, or only one group that is to be divided, or too few for a
            batch.
    """
    candidates = pretraining_videos(videos, split)
    batches = {stage: count * getattr(pretraining, stage).batch_size for stage, count in processes.items()}
    if len(candidates) > _PLENTY * max(batches.values()):
        return
    held_out = _held_out_groups(candidates, pretraining.validation_fraction, seed)
    left = sum(_group(video) not in held_out for video in candidates)
    for stage, batch in batches.items():
        if left < batch:
            without = f", {len(candidates) - left} held out," if held_out else ""
            raise DatasetError(
                f"{left} training videos{without} do not fill one batch of {batch} clips",
                f"lower pretraining.{stage}.batch_size, use fewer processes, or add videos",
            )


def _group(video: Video) -> str:
    return video.group or video.id


def _scattered(names: list[str], seed: int) -> list[str]:
    """In an order that looks random, and in which a new name changes nothing for the others."""

    def digest(name: str) -> bytes:
        return hashlib.sha256(f"{seed}:{name}".encode(errors="surrogateescape")).digest()

    return sorted(names, key=digest)


def _held_out_groups(videos: list[Video], fraction: float, seed: int) -> set[str]:
    """Whole groups, until they hold ``fraction`` of the videos; at least one group stays for training."""
    if fraction == 0:
        return set()
    sizes = Counter(_group(video) for video in videos)
    if len(sizes) < 2:
        raise DatasetError(
            f"all {len(videos)} training videos belong to one group, so none can be held out for validation",
            "set pretraining.validation_fraction to 0, or give the videos groups in the manifest",
        )
    held_out: set[str] = set()
    held_videos = 0
    for group in _scattered(list(sizes), seed)[:-1]:
        if held_videos >= fraction * len(videos):
            break
        held_out.add(group)
        held_videos += sizes[group]
    return held_out
