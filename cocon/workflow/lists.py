"""The videos of the data sets, shard by shard, and what identifies them.

A shard depends on the ids of its videos and on the size and time of each file. Both go into one fingerprint:
a video that was added, removed, or replaced by a newer or an older file gives another one. Labels, splits and
groups belong to the fingerprints of the tables that training and evaluation read.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

from cocon.config.schema import Config, Dataset
from cocon.data.selection import check_batches
from cocon.datasets.availability import check_videos
from cocon.datasets.manifest import TEST, TRAIN, UNUSED, Video
from cocon.datasets.registry import check_labels, list_videos
from cocon.datasets.splits import (
    ANY,
    evaluated_splits,
    limited_to,
    pretraining_splits,
    pretraining_videos,
    role_in,
    seen_in_pretraining,
    stand_apart,
    with_labels_to_choose_by,
)
from cocon.errors import CoConError
from cocon.shards import shard_of
from cocon.workflow.paths import part_of_split
from cocon.workflow.running import max_failed_fraction

_ABSENT = "-"


class VideoLists:
    """Lists every data set once, on first use.

    Args:
        config: the configuration.
        look: whether to check that the files exist. A job on a cluster reads the configuration again; the
            files were checked when the run was started.
    """

    def __init__(self, config: Config, look: bool = True) -> None:
        self.config = config
        self.look = look
        self.videos = cache(self._videos)
        self.shards = cache(self._shards)
        self.members = cache(self._members)
        self.table = cache(self._table)
        self.encoded = cache(self._encoded)
        self.training_labels = cache(self._training_labels)
        self.splits = cache(self._splits)
        self.compared_splits = cache(self._compared_splits)
        self.apart = cache(self._apart)
        self.seen = cache(self._seen)
        self.check_labels = cache(self._check_labels)
        self.check_batches = cache(self._check_batches)
        self._identity = cache(file_identity)

    def _videos(self, dataset: str) -> list[Video]:
        """All videos of a data set, in the order of their ids.

        Raises:
            CoConError: the list is missing or contradicts itself, or too many files are missing.
        """
        settings = self.config.datasets[dataset]
        with _named(dataset):
            videos = list_videos(settings)
            if not settings.rendered and self.look:
                check_videos(dataset, settings, videos, max_failed_fraction(self.config, dataset))
        # They stay until the end: the garbage collector need not scan them while jobs are planned.
        gc.freeze()
        return videos

    def _shards(self, dataset: str) -> list[list[Video]]:
        """The videos of every shard of a data set."""
        shards: list[list[Video]] = [[] for _ in range(self.config.datasets[dataset].shards)]
        for video in self.videos(dataset):
            shards[shard_of(video.id, len(shards))].append(video)
        return shards

    def _members(self, dataset: str, shard: int) -> str:
        """Identifies the videos of a shard."""
        identity = self._identity if tracked(self.config.datasets[dataset]) else None
        return members_of(self.shards(dataset)[shard], identity)

    def _splits(self, dataset: str) -> tuple[str, ...]:
        """The splits that a data set is evaluated on."""
        return evaluated_splits(self.config.datasets[dataset], self.videos(dataset))

    def _compared_splits(self, ablation: str) -> tuple[str, ...]:
        """The splits of an ablation: those of its section, or all that its data set is evaluated on.

        Raises:
            CoConError: the data set is not evaluated on one of them.
        """
        settings = self.config.ablations[ablation]
        known = self.splits(settings.dataset)
        if strange := [split for split in settings.splits if split not in known]:
            raise CoConError(
                f"ablations.{ablation}.splits: {settings.dataset} is not evaluated on a split '{strange[0]}'",
                f"its splits are: {', '.join(known)}",
            )
        return settings.splits or known

    def _apart(self, dataset: str) -> bool:
        """Whether a change of one split leaves the results of the others alone."""
        listed = {name for video in self.videos(dataset) for name in video.splits}
        return stand_apart(self.config.datasets[dataset], len(listed))

    def part(self, dataset: str, split: str) -> str:
        """In the name of the table that results of a split depend on; empty: of all splits together."""
        return part_of_split(split) if self.apart(dataset) else ""

    def _table(self, dataset: str, *, labels: bool, split: str = "") -> str:
        """Identifies the table of a data set's videos: groups, roles, files, and labels on request.

        With a split (or ``common``, or ``all``) the roles are those in it only.
        """
        identity = self._identity if tracked(self.config.datasets[dataset]) else None
        return table_of(self.videos(dataset), identity, labels=labels, split=split)

    def _training_labels(self, dataset: str, split: str) -> str:
        """Identifies the labels that choose encoders: those of training videos that are tested nowhere."""
        return _digest(
            f"{video.id}\t{video.label}"
            for video in self._for_pretraining(dataset, split)
            if video.label and TRAIN in video.splits.values() and TEST not in video.splits.values()
        )

    def _for_pretraining(self, dataset: str, split: str) -> list[Video]:
        """The table that pretraining reads, limited to a split or not."""
        settings, videos = self.config.datasets[dataset], self.videos(dataset)
        return limited_to(with_labels_to_choose_by(settings, videos), split) if split else videos

    def _encoded(self, dataset: str) -> str:
        """Identifies the videos that features are made of: any split trains or tests with them."""
        videos = [video for video in self.videos(dataset) if video.label]
        used = [video for video in videos if role_in(video, ANY) == TRAIN]
        return members_of(used, self._identity if tracked(self.config.datasets[dataset]) else None)

    def _seen(self, dataset: str) -> dict[str, tuple[int, int]]:
        """How many test videos the evaluated encoders were pretrained on, and of how many, by split.

        Encoders of another data set have seen none, unless it is of the same kind and has the same files.
        """
        config, splits = self.config, self.splits(dataset)
        source = config.trained_on(dataset)
        if config.datasets[source].kind != config.datasets[dataset].kind:
            return {}
        section, videos = config.datasets[source], self.videos(source)
        own = source == dataset
        learned = [
            pretraining_videos(videos, section.pretrained_on(split if own else section.first_split))
            for split in splits
        ]
        return seen_in_pretraining(self.videos(dataset), splits, learned)

    def _check_labels(self, dataset: str) -> None:
        """Check that the labels allow an evaluation.

        Raises:
            CoConError: a split has no labelled videos to train or to test with, or a class lacks one of them.
        """
        videos = self.videos(dataset)
        with _named(dataset):
            check_labels(self.config.datasets[dataset], videos)

    def _check_batches(self, dataset: str) -> None:
        """Check that the videos of a data set fill the batches of its trainings, with the labels they need.

        Raises:
            CoConError: there are too few of them.
        """
        settings, jobs = self.config.datasets[dataset], self.config.jobs
        processes = {"stage1": jobs.pretrain_stage1.processes, "stage2": jobs.pretrain_stage2.processes}
        pretraining = self.config.recipe_of(dataset).pretraining
        videos = self.videos(dataset)
        with _named(dataset):
            for split in pretraining_splits(settings, videos):
                table = self._for_pretraining(dataset, split if self.apart(dataset) else "")
                check_batches(table, split, pretraining, self.config.seed, processes)


@contextlib.contextmanager
def _named(dataset: str) -> Iterator[None]:
    """Name the data set in errors."""
    try:
        yield
    except CoConError as error:
        raise CoConError(f"data set '{dataset}': {error.message}", error.hint) from error


def tracked(settings: Dataset) -> bool:
    """Whether sizes and times of a data set's files count. Those of the demo follow from its settings."""
    return settings.track_videos and not settings.rendered


def members_of(videos: Iterable[Video], identity: Callable[[Path | str], str] | None) -> str:
    """Identifies videos by their ids and, where they are tracked, by :func:`file_identity`."""
    return _digest(f"{video.id}\t{identity(video.location) if identity else ''}" for video in videos)


def table_of(
    videos: Iterable[Video],
    identity: Callable[[Path | str], str] | None,
    *,
    labels: bool,
    split: str = "",
) -> str:
    """Identifies a table of videos: groups, roles in all splits or in one, files, and labels on request.

    Of one split and without labels, it only covers which videos are trained on.
    """

    def roles(video: Video) -> dict[str, str]:
        if not split:
            return video.splits
        role = role_in(video, split)
        return {split: role if labels or role == TRAIN else UNUSED}

    return _digest(
        f"{video.id}\t{video.group}\t{roles(video)}"
        f"\t{video.label if labels else ''}"
        f"\t{identity(video.location) if identity else ''}"
        for video in videos
    )


def file_identity(path: Path | str) -> str:
    """Size and time of a file; the same for every file that is missing."""
    try:
        state = os.stat(path)
    except OSError:
        return _ABSENT
    return f"{state.st_size} {state.st_mtime_ns}"


def _digest(lines: Iterable[str]) -> str:
    """16 hexadecimal digits that identify some lines."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode("utf-8", "surrogateescape"))
        digest.update(b"\n")
    return digest.hexdigest()[:16]
