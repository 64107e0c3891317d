"""Nearest neighbours in feature space: test videos with their nearest training videos."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cocon.report.inputs import ENSEMBLE, UNREADABLE, Inputs, PageSection, reason
from cocon.report.pictures import fit, grey_to_rgb, jpeg_uri, shown_by
from cocon.report.sheets import spaced

_QUERIES = 8
_NEIGHBOURS = 5
_HEIGHT = 120


@dataclass(frozen=True)
class Picture:
    """One video as a thumbnail; ``picture`` is an index into the page's thumbnails, or None."""

    id: str
    label: str
    picture: int | None
    similarity: float | None = None
    right: bool | None = None


@dataclass(frozen=True)
class Query:
    """A test video and its nearest training videos, best first."""

    video: Picture
    neighbours: list[Picture]


@dataclass(frozen=True)
class ViewQueries:
    """The queries of one view; ``precision`` is the share of right neighbours over all queries."""

    name: str
    split: str
    queries: list[Query]
    precision: float
    total: int


@dataclass
class NeighboursSection(PageSection):
    """One list of queries per view; every thumbnail is stored once."""

    pretraining: str = ""
    views: list[ViewQueries] = field(default_factory=list)
    thumbnails: list[str] = field(default_factory=list)


def section(inputs: Inputs) -> NeighboursSection:
    """The same queries, one per class and evenly chosen, in every view and in the ensemble."""
    page = NeighboursSection("neighbours", "Nearest neighbours", "Neighbours", pretraining=inputs.pretraining)
    thumbnails = Thumbnails(inputs)
    for name in inputs.views_and_ensemble:
        try:
            split, scores = inputs.scores(inputs.pretraining, name, "retrieval")
            page.views.append(_view(name, split, scores, thumbnails))
        except (*UNREADABLE, IndexError) as error:
            page.missing.append(
                f"The retrieval of {inputs.pretraining}, {name}, has no neighbours to show ({reason(error)})."
            )
    page.views.sort(key=lambda view: view.name == ENSEMBLE)
    page.thumbnails = thumbnails.uris
    if page.views and not page.thumbnails:
        page.missing.append("There are no shards with frames, so the videos are named but not shown.")
    return page


class Thumbnails:
    """The middle frames of videos as JPEG, each encoded once."""

    def __init__(self, inputs: Inputs) -> None:
        self.uris: list[str] = []
        view = shown_by(inputs.shards)
        self._shards = inputs.shards[view] if view else None
        self._table = inputs.tables[self._shards.view] if self._shards else {}
        self._place: dict[str, int | None] = {}

    def place(self, video_id: str) -> int | None:
        """Index into :attr:`uris`; None when the video has no frames."""
        if video_id not in self._place:
            self._place[video_id] = self._add(video_id)
        return self._place[video_id]

    def _add(self, video_id: str) -> int | None:
        row = self._table.get(video_id)
        if self._shards is None or row is None or not row.usable:
            return None
        frame_HWC = self._shards.read(video_id, [row.frames // 2])[0]
        picture = fit(frame_HWC if frame_HWC.shape[2] == 3 else grey_to_rgb(frame_HWC), _HEIGHT)
        self.uris.append(jpeg_uri(picture, 80))
        return len(self.uris) - 1


def _view(name: str, split: str, scores: dict[str, np.ndarray], thumbnails: Thumbnails) -> ViewQueries:
    classes, labels_N = [str(c) for c in scores["classes"]], scores["labels"]
    gallery_labels_M, neighbours_NK = scores["gallery_labels"], scores["neighbours"][:, :_NEIGHBOURS]
    right_NK = gallery_labels_M[neighbours_NK] == labels_N[:, None]
    queries = []
    for row in choose_queries([str(i) for i in scores["ids"]], [classes[label] for label in labels_N]):
        near = [
            Picture(
                str(scores["gallery_ids"][index]), classes[gallery_labels_M[index]],
                thumbnails.place(str(scores["gallery_ids"][index])), float(similarity), bool(right),
            )
            for index, similarity, right in zip(
                neighbours_NK[row], scores["similarity"][row], right_NK[row], strict=False
            )
        ]  # fmt: skip
        query = str(scores["ids"][row])
        queries.append(Query(Picture(query, classes[labels_N[row]], thumbnails.place(query)), near))
    return ViewQueries(name, split, queries, float(right_NK.mean()), len(labels_N))


def choose_queries(ids: list[str], labels: list[str], count: int = _QUERIES) -> list[int]:
    """Rows of the first video (by id) of up to ``count`` evenly spaced classes, independent of results."""
    first_of: dict[str, str] = {}
    for video_id, label in sorted(zip(ids, labels, strict=True)):
        first_of.setdefault(label, video_id)
    chosen = [first_of[label] for label in spaced(sorted(first_of), count)]
    return [ids.index(video_id) for video_id in chosen]
