"""Videos that are rendered or downloaded, and the tables of them that training and evaluation read."""

from __future__ import annotations

from functools import cache

from pydantic import BaseModel

from cocon.config.schema import Config
from cocon.config.selection import Document, changed
from cocon.datasets.splits import ANY
from cocon.versions import STAGES
from cocon.workflow.documents.fingerprints import fingerprint_of, of_stage
from cocon.workflow.lists import VideoLists
from cocon.workflow.paths import split_of_part

_SOURCE = {"kind", "videos", "lists", "archives", "from_archives"}
_NOT_RENDERED = {"kind", "recipe", "shards", "splits", "views", "shards_of", "pretrain_on", "pretrain_split"}
_NOT_RENDERED |= {"track_videos", "card_accuracies", "compare_backends", "evaluate_on", "root"}


def rendering(dataset: BaseModel) -> Document:
    """The rendered videos of a demo data set: their document."""
    return of_stage("render", changed(dataset, _NOT_RENDERED))


def pairs(dataset: BaseModel) -> Document:
    """The rendered videos with two persons in a frame: their document."""
    return of_stage("pairs", {key: value for key, value in changed(dataset).items() if key == "seed"})


def source(dataset: BaseModel) -> Document:
    """The videos of a public data set: where they come from, and where they go."""
    return of_stage("get", {key: value for key, value in changed(dataset).items() if key in _SOURCE})


class VideoDocuments:
    """The documents of videos and of tables of videos.

    Args:
        config: the configuration.
        lists: the videos of its data sets.
    """

    def __init__(self, config: Config, lists: VideoLists) -> None:
        self.config = config
        self.lists = lists
        self._renderings = cache(lambda dataset: fingerprint_of(self.rendering(dataset)))

    def rendering(self, dataset: str) -> Document:
        """The videos of a demo."""
        return rendering(self.config.datasets[dataset])

    def pairs(self, dataset: str) -> Document:
        """The videos with two persons in a frame, of a demo."""
        return pairs(self.config.datasets[dataset])

    def source(self, dataset: str) -> Document:
        """The videos of a public data set."""
        return source(self.config.datasets[dataset])

    def rendered(self, dataset: str) -> Document:
        """What a result that is made of a data set's videos is after: of a demo, their rendering."""
        return {"after": self._renderings(dataset)} if self.config.datasets[dataset].rendered else {}

    def index(self, dataset: str, part: str = "") -> Document:
        """The table of a data set's videos, or the part of it for a split."""
        split = split_of_part(part)
        return self.encoded(dataset) if split == ANY else self.table(dataset, labels=True, split=split)

    def index_for_pretraining(self, dataset: str, part: str = "") -> Document:
        """The table that pretraining reads, of all splits or of one."""
        return self.training_table(dataset, split_of_part(part))

    def training_table(self, dataset: str, split: str) -> Document:
        """The same by the name of the split; it depends on labels only where they choose the encoders."""
        document = self.table(dataset, labels=False, split=split)
        if self.config.recipe_of(dataset).pretraining.reads_labels:
            document["labels"] = self.lists.training_labels(dataset, split)
        return document

    def table(self, dataset: str, *, labels: bool, split: str = "") -> Document:
        """A table of a data set's videos, with the roles of all splits or of one."""
        return self._listed(dataset, self.lists.table(dataset, labels=labels, split=split))

    def encoded(self, dataset: str) -> Document:
        """The table of the videos that features are made of."""
        return self._listed(dataset, self.lists.encoded(dataset))

    def for_features(self, dataset: str) -> Document:
        """What features depend on: with the roles in all splits, unless these stand apart."""
        return self.encoded(dataset) if self.lists.apart(dataset) else self.table(dataset, labels=True)

    def of_split(self, dataset: str, split: str) -> Document:
        """What an evaluation on a split depends on."""
        return self.table(dataset, labels=True, split=self.split(dataset, split))

    def _listed(self, dataset: str, videos: str) -> Document:
        return {"version": STAGES["index"], "videos": videos} | self.rendered(dataset)

    def split(self, dataset: str, split: str) -> str:
        """The split that a result depends on; empty where the splits of a data set are one list."""
        return split if self.lists.apart(dataset) else ""
