"""Videos in folders of their classes; of each class every other one is tested."""

from __future__ import annotations

from typing import Any

from cocon.datasets.manifest import TEST, TRAIN, Video
from cocon.datasets.source import Source


def list_videos(settings: Any) -> list[Video]:
    """Every mp4 file below the folders of the classes."""
    found = []
    for number, path in enumerate(sorted(settings.videos.glob("*/*.mp4"))):
        name = f"{path.parent.name}/{path.stem}"
        found.append(Video(name, path, path.parent.name, name, {"1": TEST if number % 2 else TRAIN}))
    return found


SOURCE = Source("videos in halves", list_videos, "put them below {videos}")
