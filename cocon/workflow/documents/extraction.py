"""Shards, and how they and the backends compare with the truth of a demo."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from cocon.backends import backend_named
from cocon.config.schema import Config, Recipe, ViewExtraction
from cocon.config.selection import Document, changed
from cocon.versions import extraction_version
from cocon.workflow.documents.fingerprints import fingerprint_of, of_stage
from cocon.workflow.documents.videos import VideoDocuments
from cocon.workflow.lists import VideoLists

#: values of documents that do not name these keys, by view: the first defaults
_FIRST = {
    "rgb": {"codec": "dct"},
    "flow": {"backend": "tvl1"},
    "mask": {"backend": "blazepose"},
    "pose": {"backend": "blazepose"},
}


def backend_of(recipe: Recipe, view: str) -> str:
    """The backend that infers a view; empty for rgb, which is decoded only."""
    return str(getattr(getattr(recipe.extraction, view), "backend", ""))


def passes(recipe: Recipe, views: Sequence[str]) -> list[tuple[str, ...]]:
    """The views that a job extracts together: mask and pose, if their backends share a network."""
    together = ("pose", "mask")
    if set(together) <= set(views) and _share_a_network(recipe, together):
        return [*((view,) for view in views if view not in together), together]
    return [(view,) for view in views]


def _share_a_network(recipe: Recipe, views: Sequence[str]) -> bool:
    """Whether one pass of a network gives several views: the same network, with equal settings."""
    first, *others = (_network(recipe, view) for view in views)
    return first is not None and all(other == first for other in others)


def _network(recipe: Recipe, view: str) -> tuple[str, Any] | None:
    """The network that views can share, and its settings: in its section, or in the backend's."""
    entry = backend_named(view, backend_of(recipe, view))
    own = getattr(getattr(recipe.extraction, view), entry.name, None)
    return (entry.network, getattr(own, entry.network, own)) if entry.network else None


def extraction_settings(recipe: Recipe, view: str) -> Document:
    """The section of a view, without what its backend does not read, as the command gets it."""
    section: ViewExtraction = getattr(recipe.extraction, view)
    return changed(section, section.idle)


def extraction(recipe: Recipe, views: Iterable[str], videos: str) -> Document:
    """A shard of some views that are extracted in one pass.

    Args:
        recipe: of the data set.
        views: that the pass writes.
        videos: identifies the videos of the shard, see :mod:`cocon.workflow.lists`.
    """
    return {
        "videos": videos,
        **{
            view: {
                "version": extraction_version(view, backend_of(recipe, view)),
                "settings": _documented(recipe, view),
            }
            for view in views
        },
    }


def _documented(recipe: Recipe, view: str) -> Document:
    """The settings of a view in a document: backend and codec are named unless they are the first defaults.

    So a result that stays the same keeps its document when the default changes, or when it is named.
    """
    document = extraction_settings(recipe, view)
    for key, first in _FIRST.get(view, {"backend": ""}).items():
        document.pop(key, None)
        value = getattr(getattr(recipe.extraction, view), key, first)
        document |= {key: value} if value != first else {}
    return document


class ExtractionDocuments:
    """The documents of shards, and of what is measured of them.

    Args:
        config: the configuration.
        lists: the videos of its data sets.
        videos: their documents.
    """

    def __init__(self, config: Config, lists: VideoLists, videos: VideoDocuments) -> None:
        self.config = config
        self.lists = lists
        self.videos = videos
        self._of_owner = cache(self._shards)

    def shard(self, dataset: str, shard: str, view: str = "") -> Document:
        """A shard of one view; without a view, of the pass that gives mask and pose."""
        views = [view] if view else ["mask", "pose"]
        members = self.lists.members(dataset, int(shard))
        document = extraction(self.config.recipe_of(dataset), views, members)
        return document | self.videos.rendered(dataset)

    def shards(self, dataset: str, view: str) -> str:
        """Identifies all shards of a view, which may be those of another data set."""
        return self._of_owner(self.config.owner_of_shards(dataset), view)

    def _shards(self, dataset: str, view: str) -> str:
        alone = (view,) in passes(self.config.recipe_of(dataset), self.config.views_of(dataset))
        count = self.config.datasets[dataset].shards
        shards = [self.shard(dataset, str(number), view if alone else "") for number in range(count)]
        return fingerprint_of({"shards": shards})

    def scores(self, dataset: str) -> Document:
        """Extracted views against the truth."""
        after = {view: self.shards(dataset, view) for view in self.config.views_of(dataset)}
        return of_stage("scores") | {"after": fingerprint_of(after)}

    def backends(self, dataset: str) -> Document:
        """Every installed backend against the truth."""
        pairs = {"pairs": self.videos.pairs(dataset)}
        return of_stage("backends") | self.videos.rendered(dataset) | pairs
