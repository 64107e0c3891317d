"""Reads the inputs of the report: files of a results folder, any of which may be absent."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cocon.datasets.manifest import TEST, Video, in_order, read_manifest
from cocon.errors import CoConError, DatasetError
from cocon.evaluation.features import Features, read_features
from cocon.evaluation.metrics import is_rank
from cocon.evaluation.score_file import read_scores
from cocon.evaluation.splits import Split, labelled_split
from cocon.loading import as_type, number, read_object, reading
from cocon.pretrainings import PRETRAININGS, RANDOM, main_of
from cocon.report.settings import ReportSettings
from cocon.shards import ShardSet, VideoInfo, membership
from cocon.views import VIEWS

ENSEMBLE = "ensemble"

UNREADABLE = (
    *(CoConError, OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, EOFError),
    *(RuntimeError, MemoryError, zipfile.BadZipFile, csv.Error),
)
"""Errors of reading a missing or damaged result file; a section reports them as a sentence."""


@dataclass
class PageSection:
    """A part of the page: ``key`` names its template, ``missing`` explains what could not be shown.

    ``short`` is the title in the list of sections.
    """

    key: str
    title: str
    short: str
    missing: list[str] = field(default_factory=list)


@dataclass
class Inputs:
    """Everything that the sections read.

    Args:
        results: folder ``results/<dataset>``.
        title: name of the data set as shown.
        views: names of the views, in the order in which they are shown.
        pretraining: the pretraining that the detailed sections are about.
        videos: the manifest by id; empty when it is absent.
        shards: the shards of each view that has any.
        rows: rows of ``summary.json``; empty when it is absent.
        seen: test videos that encoders were pretrained on, and of how many, by split.
        missing: a sentence for each of the above that could not be read.
        encoders: folder with one folder of checkpoints per pretraining; None: ``<results>/pretrain``.
        settings: the part of the configuration that was used.
    """

    results: Path
    title: str
    views: tuple[str, ...]
    pretraining: str
    videos: dict[str, Video] = field(default_factory=dict)
    shards: dict[str, ShardSet] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    seen: dict[str, tuple[int, int]] = field(default_factory=dict)
    encoders: Path | None = None
    settings: ReportSettings = field(default_factory=ReportSettings)
    tables: dict[str, dict[str, VideoInfo]] = field(init=False)
    _features: dict[tuple[str, str], Features] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        self.tables = {view: shards.videos for view, shards in self.shards.items()}

    @property
    def views_and_ensemble(self) -> tuple[str, ...]:
        """The views, and the fusion of all of them."""
        return (*self.views, ENSEMBLE)

    @property
    def pretrained(self) -> Path:
        """Folder of the checkpoints and of the logs of their training."""
        return self.encoders or self.results / "pretrain"

    def label(self, video_id: str) -> str:
        """The label of a video; empty if it is not in the manifest."""
        video = self.videos.get(video_id)
        return video.label if video else ""

    def scores(self, pretraining: str, view: str, protocol: str) -> tuple[str, dict[str, np.ndarray]]:
        """The arrays of the first split's score file.

        Returns:
            The split's name and the arrays by name, strings decoded.

        Raises:
            FileNotFoundError: when there is no such file.
            DatasetError: when it is damaged.
        """
        folder = self.results / "evaluation" / pretraining / view
        paths = sorted(folder.glob(f"{protocol}_split*.npz"))
        if not paths:
            raise FileNotFoundError(f"there is no {protocol}_split*.npz in {folder}")
        return paths[0].stem.split("_split", 1)[1], read_scores(paths[0])

    def split(self) -> Split:
        """The first split that has labelled training and test videos.

        Raises:
            DatasetError: when there is none.
        """
        names = in_order({name for video in self.videos.values() for name in video.splits})
        tested = [n for n in names if any(v.splits.get(n) == TEST and v.label for v in self.videos.values())]
        return labelled_split(list(self.videos.values()), (tested or names or ["1"])[0])

    def features(self, pretraining: str, view: str) -> Features:
        """Features of all labelled videos by one encoder; read once.

        Raises:
            DatasetError: when the file is missing or damaged.
        """
        if (pretraining, view) not in self._features:
            path = self.results / "features" / pretraining / f"{view}.h5"
            self._features[pretraining, view] = read_features(path)
        return self._features[pretraining, view]

    def views_with_features(self, pretraining: str) -> tuple[tuple[str, ...], list[str]]:
        """The views whose features can be read, and sentences on the others."""
        found: list[str] = []
        missing = [] if self.views else ["There are no views, so there are no features to show."]
        for view in self.views:
            try:
                self.features(pretraining, view)
                found.append(view)
            except CoConError as error:
                missing.append(f"The features of {pretraining}, {view}, cannot be shown ({error.message}).")
        return tuple(found), missing

    def baseline(self) -> str:
        """What to compare with: random networks, or nothing (an empty name) where these are shown."""
        return "" if self.pretraining == RANDOM else RANDOM


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSON lines file; a line that a killed run left unfinished is passed over."""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            yield value


def order_pretrainings(names: set[str]) -> list[str]:
    """Known pretrainings from the least to the most trained, then any others by name."""
    known = [name for name in PRETRAININGS if name in names]
    return known + sorted(names - set(known))


def load_inputs(
    results: Path,
    *,
    manifest: Path | None = None,
    shards: Path | None = None,
    summary: Path | None = None,
    title: str = "",
    views: Sequence[str] = (),
    pretraining: str = "",
    encoders: Path | None = None,
    settings: ReportSettings | None = None,
    shard_count: int | None = None,
) -> Inputs:
    """Read what there is; the paths default to their places in ``results``.

    Args:
        results: folder ``results/<dataset>``.
        manifest: table of the videos.
        shards: folder with one folder of shards per view.
        summary: the collected accuracies.
        title: name to show; by default that of the folder.
        views: views to show; by default all that have shards or accuracies.
        pretraining: what the detailed sections are about; by default ``cocon``, or whatever was
            trained furthest.
        encoders: folder of checkpoints, where they were trained on another data set.
        settings: the part of the configuration that was used.
        shard_count: shards of a view; by default all that are there.
    """
    missing: dict[str, str] = {}
    videos = _read_videos(manifest or results / "manifest.csv", missing)
    rows, seen = _read_summary(summary or results / "summary.json", missing)
    folder = shards or results / "shards"
    shard_sets = {}
    for view in views or tuple(VIEWS):
        try:
            shard_sets[view] = _read_shards(folder / view, shard_count, videos)
        except UNREADABLE as error:
            missing[f"shards/{view}"] = f"The view {view} has no shards to show ({reason(error)})."
    found = {row["view"] for row in rows} | set(shard_sets)
    trained = order_pretrainings({row["pretraining"] for row in rows})
    return Inputs(
        results=results,
        title=title or results.name,
        views=tuple(views) or tuple(view for view in VIEWS if view in found),
        pretraining=pretraining or main_of(trained),
        videos=videos,
        shards=shard_sets,
        rows=rows,
        missing=missing,
        seen=seen,
        encoders=encoders,
        settings=settings or ReportSettings(),
    )


def _read_videos(path: Path, missing: dict[str, str]) -> dict[str, Video]:
    try:
        return {video.id: video for video in read_manifest(path)}
    except UNREADABLE as error:
        missing["manifest"] = f"The table of videos {path} cannot be read ({reason(error)})."
        return {}


def _read_summary(
    path: Path, missing: dict[str, str]
) -> tuple[list[dict[str, Any]], dict[str, tuple[int, int]]]:
    """The rows, and what the encoders have seen of the test videos."""
    try:
        with reading(path, "summary", DatasetError, missing="", damaged=""):
            document = read_object(path)
            rows = as_type(list[dict[str, Any]], document["rows"])
            seen = as_type(dict[str, tuple[int, int]], document.get("seen") or {})
            complete = [_checked(row) for row in rows if row.get("top1", 0) is not None]
    except UNREADABLE as error:
        missing["summary"] = f"The summary {path} cannot be read ({reason(error)})."
        return [], {}
    if not complete:
        missing["summary"] = f"The summary {path} has no accuracies yet."
    return complete, seen


def _checked(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the summary with valid entries."""
    for key in ("pretraining", "view", "protocol"):
        as_type(str, row[key])
    for key in ("top1", "coverage", "chance", *filter(is_rank, row)):
        number(row.get(key, 0) if key != "top1" else row[key], 0, 1)
    for bound in as_type(tuple[Any, Any], row.get("ci95") or (0, 1)):
        number(bound, 0, 1)
    number(row.get("n", 0), 0)
    return row


def _read_shards(folder: Path, count: int | None, videos: Mapping[str, Video]) -> ShardSet:
    shard_set = ShardSet.of_folder(folder, count)
    if videos:
        membership.check(shard_set, videos.values())
    return shard_set


def reason(error: Exception) -> str:
    """A short text of an error, for the report."""
    if isinstance(error, CoConError):
        return error.message
    if isinstance(error, FileNotFoundError):
        return "it does not exist" if error.strerror else str(error)
    if isinstance(error, KeyError):
        return f"it has no entry {error}"
    return str(error) or type(error).__name__
