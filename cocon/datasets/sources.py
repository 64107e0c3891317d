"""Where a public data set is published, and the figures that its authors give."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

from cocon.datasets import registry
from cocon.datasets.checks import check_files
from cocon.datasets.manifest import Video
from cocon.download import Pin
from cocon.errors import DatasetError


@dataclass(frozen=True)
class Archive:
    """One published file: an archive, or a plain list.

    Attributes:
        name: below the folder of archives.
        urls: mirrors of the same bytes, the best first.
        pin: its size and hash, as far as they are published.
    """

    name: str
    urls: tuple[str, ...]
    pin: Pin = field(default_factory=Pin)


Part = tuple[Archive, ...]
"""Archives with the same videos in them, of which one is enough; the best first."""


@dataclass(frozen=True)
class Official:
    """What a whole data set has, by its authors; 0 where they do not say.

    Attributes:
        videos: in the lists.
        classes: in the lists.
        splits: training and test videos by name of the split.
        per_class: training and test videos of every class in every split; empty where they differ.
        may_lack: fraction of the videos that are no longer available.
    """

    videos: int = 0
    classes: int = 0
    splits: dict[str, tuple[int, int]] = field(default_factory=dict)
    may_lack: float = 0.0
    per_class: tuple[int, int] | tuple[()] = ()


class PublicSource(registry.Source, Protocol):
    """What the module of a data set offers that can be downloaded."""

    OFFICIAL: Official
    LIST_NAME: re.Pattern[str]
    """File names of the official lists, without any folder."""
    LISTS: tuple[Part, ...]

    def list_parts(self, fetch: Callable[[Archive], Path]) -> Sequence[Part]:
        """The archives with the videos; ``fetch`` gets a file that names them, where there is one."""


def public_source(kind: str) -> PublicSource:
    """The module of a public data set.

    Raises:
        DatasetError: the data set is not one that is published.
    """
    module = registry.source(kind)
    if not hasattr(module, "LISTS"):
        raise DatasetError(
            f"a data set of the kind '{kind}' cannot be downloaded",
            "public kinds: " + ", ".join(name for name in registry.SOURCES if _is_public(name)),
        )
    return cast(PublicSource, module)


def _is_public(kind: str) -> bool:
    return hasattr(registry.source(kind), "LISTS")


def official(kind: str) -> Official:
    """What the authors of a kind of data set say about it; nothing, if it is no published one."""
    found: Official = getattr(registry.source(kind), "OFFICIAL", Official())
    return found


def check_videos(name: str, settings: Any, videos: Sequence[Video], max_failed_fraction: float) -> None:
    """Before anything runs: enough files are there.

    A public data set may lack what it is known to lack, any other ``max_failed_fraction`` of its videos.

    Args:
        name: of the data set in the configuration.
        settings: its section.
        videos: those of its lists.
        max_failed_fraction: of the extraction.

    Raises:
        DatasetError: with the first files that are missing.
    """
    allowed = max(max_failed_fraction, official(settings.kind).may_lack)
    check_files(videos, allowed, advice(name, settings))


def archive_folder(settings: Any) -> Path:
    """Where the archives of a data set lie, its own or downloaded ones."""
    return settings.archives or settings.videos.parent / "archives"


def advice(name: str, settings: Any) -> str:
    """What to do when videos of a data set are missing.

    Args:
        name: of the data set in the configuration.
        settings: its section.
    """
    module: Any = registry.source(settings.kind)
    archives = archive_folder(settings) if hasattr(settings, "archives") else ""
    return str(module.ADVICE.format(name=name, videos=settings.videos, archives=archives))
