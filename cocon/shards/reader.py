"""Reads shards through a memory map: no HDF5 lock, safe after fork, one page cache for all workers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cocon.errors import ShardError
from cocon.shards.codecs import decode
from cocon.shards.format import KEYPOINT_SHAPE, VideoInfo
from cocon.shards.heatmaps import render_heatmaps
from cocon.shards.verify import open_shard, read_table
from cocon.views import VIEWS


class Shard:
    """One shard. Cheap to create, to pickle and to fork: the map is opened at the first read."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        with open_shard(self.path) as file:
            self.view: str = file.attrs["view"]
            self.codec: str = file.attrs["codec"]
            self.parameters: dict[str, Any] = json.loads(file.attrs["parameters"])
            rows = read_table(file)
            self._offsets = file["frames/offsets"][:]
            # A contiguous data set lies at one place of the file; an empty one lies nowhere.
            self._position = file["frames/data"].id.get_offset()
        self.videos: dict[str, VideoInfo] = {row.id: row for row in rows}
        firsts = np.cumsum([0, *(row.frames for row in rows)]).tolist()
        self._first: dict[str, int] = {row.id: first for row, first in zip(rows, firsts, strict=False)}

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        state.pop("_bytes", None)
        return state

    @cached_property
    def _bytes(self) -> np.ndarray:
        return np.memmap(self.path, np.uint8, "r", self._position, (int(self._offsets[-1]),))

    def _frame_bytes(self, video_id: str, indices: Iterable[int]) -> Iterator[np.ndarray]:
        info = self.videos.get(video_id)
        if info is None:
            raise ShardError(f"{self.path} has no video '{video_id}'")
        if not info.usable:
            raise ShardError(f"video '{video_id}' was skipped: {info.reason}")
        first = self._first[video_id]
        for index in indices:
            if not 0 <= index < info.frames:
                raise IndexError(f"video '{video_id}' has frames 0 to {info.frames - 1}, not {index}")
            begin, end = self._offsets[first + index : first + index + 2]
            yield self._bytes[begin:end]

    def _persons(self, video_id: str, indices: Iterable[int]) -> Iterator[np.ndarray]:
        if self.codec != "keypoints":
            raise ShardError(f"{self.path} holds the view '{self.view}', which has no keypoints")
        for data in self._frame_bytes(video_id, indices):
            yield np.frombuffer(data.tobytes(), "<f2").reshape(-1, *KEYPOINT_SHAPE).astype(np.float32)

    def read(self, video_id: str, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Frames of one video, decoded.

        Args:
            video_id: id of a video of this shard.
            indices: frame numbers, in any order, with repetitions.

        Returns:
            ``uint8`` (T, H, W, C), C being the channels of the view.

        Raises:
            ShardError: for an unknown or skipped video.
            IndexError: for a frame that the video does not have.
        """
        numbers = np.asarray(indices, np.int64).tolist()
        info = self.videos.get(video_id)
        if self.codec == "keypoints" and info is not None:
            persons = list(self._persons(video_id, numbers))
            return render_heatmaps(persons, info.height, info.width, self.parameters["sigma"])
        channels = VIEWS[self.view].channels
        return np.stack([decode(data, channels) for data in self._frame_bytes(video_id, numbers)])

    def keypoints(self, video_id: str) -> list[np.ndarray]:
        """Per frame an array ``float32`` (persons, 17, 3): x and y as fractions of the source, score."""
        return list(self._persons(video_id, range(self.videos[video_id].frames)))


class ShardSet:
    """All shards of one view of a data set, addressed by video id.

    Raises:
        ShardError: when there is no shard, the shards hold different views, or a video stands in two.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self.shards = [Shard(path) for path in paths]
        if not self.shards:
            raise ShardError("there are no shards to read", "run the extraction first")
        self.view = self.shards[0].view
        self._home: dict[str, Shard] = {}
        for shard in self.shards:
            if shard.view != self.view:
                raise ShardError(f"{shard.path} holds the view '{shard.view}', not '{self.view}'")
            for video_id in shard.videos:
                if video_id in self._home:
                    raise ShardError(
                        f"video '{video_id}' stands in {shard.path} and in {self._home[video_id].path}"
                    )
                self._home[video_id] = shard

    @classmethod
    def of_folder(cls, folder: Path) -> ShardSet:
        """All ``*.h5`` files of a folder, for instance ``results/demo/shards/rgb``."""
        paths = sorted(Path(folder).glob("[!.]*.h5"))
        if not paths:
            raise ShardError(f"there is no shard in {folder}", "run the extraction first")
        return cls(paths)

    @cached_property
    def videos(self) -> dict[str, VideoInfo]:
        """All rows by id, skipped videos included."""
        return {video_id: shard.videos[video_id] for video_id, shard in self._home.items()}

    def _shard(self, video_id: str) -> Shard:
        if video_id not in self._home:
            raise ShardError(f"no shard of the view '{self.view}' has the video '{video_id}'")
        return self._home[video_id]

    def read(self, video_id: str, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """As :meth:`Shard.read`."""
        return self._shard(video_id).read(video_id, indices)

    def keypoints(self, video_id: str) -> list[np.ndarray]:
        """As :meth:`Shard.keypoints`."""
        return self._shard(video_id).keypoints(video_id)
