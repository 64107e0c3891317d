"""A cache of decoded videos in memory: a small data set is decoded once, not in every epoch."""

from __future__ import annotations

import numpy as np
from torch.utils.data import get_worker_info

from cocon.shards import ShardSet
from cocon.views import VIEWS


class FrameCache:
    """Reads frames of one or several views and keeps whole decoded videos while they fit.

    A video that no longer fits is decoded at each use, and then only the requested frames. Nothing is
    evicted: an epoch visits every video once, in random order, so all videos are equally likely to be next.

    Args:
        shards: the shards by view.
        limit_bytes: upper bound of the memory for decoded frames, of all workers of a loader together; 0
            keeps nothing.
    """

    def __init__(self, shards: dict[str, ShardSet], limit_bytes: int) -> None:
        self.shards = shards
        self._limit_bytes, self._used_bytes = limit_bytes, 0
        self._videos = {view: shard_set.videos for view, shard_set in shards.items()}
        self._frames: dict[tuple[str, str], np.ndarray] = {}

    def frames_of(self, view: str, video_id: str) -> int:
        """Number of frames of a video."""
        return self._videos[view][video_id].frames

    def read(self, view: str, video_id: str, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Decoded frames that contain the requested ones.

        Returns:
            ``uint8`` frames (F, H, W, C), not to be written to, and for each of the ``indices`` its row.
        """
        key = view, video_id
        if key in self._frames:
            return self._frames[key], indices
        info = self._videos[view][video_id]
        size = info.frames * info.height * info.width * VIEWS[view].channels
        worker = get_worker_info()
        if self._used_bytes + size <= self._limit_bytes // (worker.num_workers if worker else 1):
            self._used_bytes += size
            self._frames[key] = self.shards[view].read(video_id, np.arange(info.frames))
            return self._frames[key], indices
        needed, rows = np.unique(indices, return_inverse=True)
        return self.shards[view].read(video_id, needed), rows
