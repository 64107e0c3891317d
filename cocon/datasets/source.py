"""What the module of a data set offers: its :class:`Source`, and what that is made of."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from cocon.datasets.manifest import Video
from cocon.download import Pin


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
class Extent:
    """How much there is to process, to plan with before any file is there.

    Attributes:
        videos: their number.
        frames: of all videos together.
        size: (height, width) of the frames, px.
        codec: what the videos are coded with, by FFmpeg's name of the encoder.
        source: where the numbers come from.
    """

    videos: int
    frames: int
    size: tuple[int, int]
    codec: str
    source: str = "the published data set"


@dataclass(frozen=True)
class Official:
    """What a whole data set has, by its authors; 0 where they give no number.

    Attributes:
        videos: in the lists.
        classes: in the lists.
        splits: training and test videos by name of the split.
        per_class: training and test videos of every class in every split; empty where they differ.
        may_lack: fraction of the videos that are no longer available.
        expected: training and test videos of a split, about, where ``splits`` has none.
        extent: how much there is to process; None: unknown.
    """

    videos: int = 0
    classes: int = 0
    splits: dict[str, tuple[int, int]] = field(default_factory=dict)
    may_lack: float = 0.0
    per_class: tuple[int, int] | tuple[()] = ()
    expected: tuple[int, int] = (0, 0)
    extent: Extent | None = None

    @property
    def typical_split(self) -> tuple[int, int]:
        """Training and test videos of the first split, or about so many."""
        return next(iter(self.splits.values()), self.expected)


@dataclass(frozen=True)
class Download:
    """How to download a published data set.

    Attributes:
        list_name: file names of the official lists, without any folder.
        lists: the archives of the lists.
        parts: the archives with the videos; its argument gets a file that names them, where there is one.
        is_replacement: whether a file or folder, by its path, replaces a broken one of the same name.
    """

    list_name: re.Pattern[str]
    lists: tuple[Part, ...]
    parts: Callable[[Callable[[Archive], Path]], Sequence[Part]]
    is_replacement: Callable[[PurePath], bool] = lambda path: False


@dataclass(frozen=True)
class Source:
    """A kind of data set.

    Attributes:
        title: its name in text.
        list_videos: all videos of the official lists (or of the table), from the section of the
            configuration, whether their files exist or not.
        advice: what to do when videos are missing, with the fields name, videos and archives.
        official: the authors' figures.
        download: how to download it; None: it cannot be downloaded.
    """

    title: str
    list_videos: Callable[[Any], list[Video]]
    advice: str = ""
    official: Official = field(default_factory=Official)
    download: Download | None = None
