"""Whether the videos of a data set are there, and what to do where they are not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cocon.datasets.checks import check_files
from cocon.datasets.manifest import Video
from cocon.datasets.registry import SOURCES, source
from cocon.datasets.source import Download
from cocon.errors import DatasetError


def download_of(kind: str) -> Download:
    """How to download a published data set.

    Raises:
        DatasetError: it cannot be downloaded.
    """
    download = source(kind).download
    if download is None:
        raise DatasetError(
            f"a data set of the kind '{kind}' cannot be downloaded",
            "public kinds: " + ", ".join(name for name in SOURCES if source(name).download),
        )
    return download


def check_videos(name: str, settings: Any, videos: Sequence[Video], max_failed_fraction: float) -> None:
    """Check, before anything runs, that enough files exist.

    A public data set may lack what it is known to lack, any other ``max_failed_fraction`` of its videos.

    Args:
        name: of the data set in the configuration.
        settings: its section.
        videos: those of its lists.
        max_failed_fraction: of the extraction.

    Raises:
        DatasetError: with the first files that are missing.
    """
    allowed = max(max_failed_fraction, source(settings.kind).official.may_lack)
    check_files(videos, allowed, advice(name, settings))


def archive_folder(settings: Any) -> Path:
    """Where the archives of a data set lie, its own or downloaded ones."""
    result: Path = settings.archives or settings.videos.parent / "archives"
    return result


def advice(name: str, settings: Any) -> str:
    """What to do when videos of a data set are missing.

    Args:
        name: of the data set in the configuration.
        settings: its section.
    """
    archives = archive_folder(settings) if hasattr(settings, "archives") else ""
    return source(settings.kind).advice.format(name=name, videos=settings.videos, archives=archives)
