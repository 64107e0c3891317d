"""Reads shards: no HDF5 lock, safe after fork and spawn, one page cache for all workers."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cocon.errors import ShardError
from cocon.shards.codecs import decode_into
from cocon.shards.format import KEYPOINT_SHAPE, PERSON_BYTES, VideoInfo
from cocon.shards.handles import handle_of, identity_of
from cocon.shards.heatmaps import render_heatmaps
from cocon.shards.tables import read_contents
from cocon.views import VIEWS

log = logging.getLogger(__name__)

#: frames in memory at once when reading all of a video
_AT_ONCE = 64
#: px; a Gaussian of this width covers any picture
_LARGEST_SIGMA = 1 << 16


class Shard:
    """The reader of one shard. It holds the tables and opens the file when frames are read; safe to pickle
    and fork.

    Raises:
        ShardError: when the file is missing or cannot be read, is no shard, of another version, truncated, or
            its tables are damaged. Damaged frames are found when they are read (in version 2 by
            :func:`cocon.shards.verify.verify` only).
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._identity = identity_of(self.path)
        contents = read_contents(self.path)
        self.version = contents.version
        self.view: str = contents.view
        self.codec: str = contents.codec
        self.parameters: dict[str, Any] = contents.parameters
        self._starts = contents.offsets + contents.position
        self._checksums = contents.checksums
        self.videos: dict[str, VideoInfo] = {row.id: row for row in contents.rows}
        firsts = np.cumsum([0, *(row.frames for row in contents.rows)]).tolist()
        self._first: dict[str, int] = {
            row.id: first for row, first in zip(contents.rows, firsts, strict=False)
        }

    def _info(self, video_id: str) -> VideoInfo:
        info = self.videos.get(video_id)
        if info is None:
            raise ShardError(f"{self.path} has no video '{video_id}'")
        if not info.usable:
            raise ShardError(f"video '{video_id}' was skipped: {info.reason}")
        return info

    def stored(self, video_id: str, indices: Iterable[int]) -> Iterator[bytes]:
        """The stored bytes of frames, verified; arguments and errors as in :meth:`read`."""
        numbers = iter(indices)
        while part := list(itertools.islice(numbers, _AT_ONCE)):
            yield from map(bytes, self._frames(video_id, part))

    def _frames(self, video_id: str, indices: Sequence[int] | np.ndarray) -> list[memoryview]:
        """The stored bytes of frames, contiguous in memory, verified."""
        info, first = self._info(video_id), self._first[video_id]
        handle = handle_of(self.path, self._identity)
        numbers = np.asarray(indices, np.int64).reshape(-1)
        outside = numbers[(numbers < 0) | (numbers >= info.frames)]
        if len(outside):
            raise IndexError(f"video '{video_id}' has frames 0 to {info.frames - 1}, not {outside[0]}")
        begin_T = self._starts[first + numbers]
        size_T = self._starts[first + numbers + 1] - begin_T
        words_T = np.cumsum((size_T + 7) // 8)  # every frame begins with a word of eight bytes
        room = np.empty(words_T[-1] if len(words_T) else 0, "<u8")
        at_T = words_T - (size_T + 7) // 8
        memory = room.view(np.uint8).data
        places = zip((8 * at_T).tolist(), (8 * at_T + size_T).tolist(), strict=True)
        frames = [memory[at:end] for at, end in places]
        handle.fill(frames, begin_T.tolist())
        if self._checksums is not None:
            from cocon.shards.xxh64 import first_damaged

            number = first_damaged(room, at_T, size_T, self._checksums[first + numbers])
            if number >= 0:
                raise self._damaged(video_id, f"frame {numbers[number]}", "its checksum is wrong")
        return frames

    def _points(self, video_id: str, indices: Sequence[int] | np.ndarray) -> tuple[np.ndarray, list[int]]:
        """The persons of all these frames, ``float32`` (N, 17, 3), and how many each frame has."""
        if self.codec != "keypoints":
            raise ShardError(f"{self.path} holds the view '{self.view}', which has no keypoints")
        frames = self._frames(video_id, indices)
        try:
            points_NJ3 = np.frombuffer(b"".join(frames), "<f2").reshape(-1, *KEYPOINT_SHAPE)
            if any(len(data) % PERSON_BYTES for data in frames):
                raise ValueError("a part of a person")
        except ValueError as error:
            raise self._damaged(video_id, "a frame", error) from error
        return points_NJ3.astype(np.float32), [len(data) // PERSON_BYTES for data in frames]

    def _damaged(self, video_id: str, which: str, reason: object) -> ShardError:
        return ShardError(
            f"{self.path}: {which} of video '{video_id}' is damaged ({reason})",
            f"cocon shards verify {self.path}",
        )

    def read(self, video_id: str, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Frames of one video, decoded.

        Args:
            video_id: id of a video of this shard.
            indices: frame numbers, in any order, with repetitions.

        Returns:
            ``uint8`` (T, H, W, C), C being the channels of the view.

        Raises:
            ShardError: for an unknown or skipped video, a damaged frame, or a file that was replaced.
            IndexError: for a frame that the video does not have.
        """
        info = self._info(video_id)
        if self.codec == "keypoints":
            points_NJ3, counts_T = self._points(video_id, indices)
            return render_heatmaps(points_NJ3, counts_T, info.height, info.width, self._sigma())
        frames = self._frames(video_id, indices)
        frames_THWC = np.empty((len(frames), info.height, info.width, VIEWS[self.view].channels), np.uint8)
        try:
            decode_into(frames, frames_THWC)
        except ValueError as error:
            raise self._damaged(video_id, "a frame", error) from error
        return frames_THWC

    def _sigma(self) -> float:
        sigma = self.parameters.get("sigma")
        if not isinstance(sigma, int | float) or not 0 < sigma <= _LARGEST_SIGMA:
            raise ShardError(f"{self.path} does not record how wide its heatmaps are drawn (sigma: {sigma})")
        return float(sigma)

    def keypoints(self, video_id: str) -> list[np.ndarray]:
        """Per frame an array ``float32`` (persons, 17, 3): x and y as fractions of the source, score."""
        points_NJ3, counts_T = self._points(video_id, range(self._info(video_id).frames))
        return np.split(points_NJ3, np.cumsum(counts_T)[:-1])


class ShardSet:
    """All shards of one view of a data set, addressed by video id.

    Raises:
        ShardError: when there is no shard, the shards hold different views, or a video is in two shards.
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
                        f"video '{video_id}' is listed in {shard.path} and in {self._home[video_id].path}"
                    )
                self._home[video_id] = shard

    @classmethod
    def of_folder(
        cls, folder: Path, count: int | None = None, *, warn: Callable[[str], object] = log.warning
    ) -> ShardSet:
        """The shards of a folder, for instance of ``results/demo/shards/rgb``.

        Args:
            folder: where they are.
            count: how many shards the view has: ``00000.h5`` and so on are read, and all of them must be
                there. None: all ``*.h5`` files are read.
            warn: called with a message about files left over from another number of shards.
        """
        there = sorted(Path(folder).glob("[!.]*.h5"))
        if count is None:
            if not there:
                raise ShardError(f"there is no shard in {folder}", "run the extraction first")
            return cls(there)
        planned = [Path(folder) / f"{number:05d}.h5" for number in range(count)]
        left_over = sorted(set(there) - set(planned))
        if left_over:
            names = " to ".join(dict.fromkeys([left_over[0].name, left_over[-1].name]))
            warn(f"the number of shards is {count}; left over in {folder} and ignored: {names}")
        return cls(planned)

    @cached_property
    def videos(self) -> dict[str, VideoInfo]:
        """All rows by id, skipped videos included."""
        return {video_id: shard.videos[video_id] for video_id, shard in self._home.items()}

    def of_video(self, video_id: str) -> Shard:
        """The shard that has the video; raises ShardError when there is none."""
        if video_id not in self._home:
            raise ShardError(f"no shard of the view '{self.view}' has the video '{video_id}'")
        return self._home[video_id]

    def read(self, video_id: str, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """As :meth:`Shard.read`."""
        return self.of_video(video_id).read(video_id, indices)

    def keypoints(self, video_id: str) -> list[np.ndarray]:
        """As :meth:`Shard.keypoints`."""
        return self.of_video(video_id).keypoints(video_id)
