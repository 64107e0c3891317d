"""Writes one shard; a killed run keeps finished videos and never leaves an invalid file."""

from __future__ import annotations

import contextlib
import os
import shutil
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from cocon.errors import CoConError, ShardError
from cocon.files import atomic_path, file_lock, fingerprint, no_room, read_json, write_json
from cocon.shards.assemble import copy_frames, seal, write_tables
from cocon.shards.file_state import UNKNOWN, FileState
from cocon.shards.format import VERSION, Codec, VideoInfo, VideoRecord
from cocon.shards.parameters import essential
from cocon.shards.reader import Shard
from cocon.shards.spool import VideoSpool, read_index
from cocon.shards.verify import verify

#: the reason of a row without a file
MISSING = "file is missing"
_ROWS = "rows"
_DATA = "data"


class ShardWriter:
    """Collects videos in a work folder next to ``path`` and assembles the shard when all are finished.

    Every finished video is on the disk at once: after ``kill -9`` the same call resumes with
    :attr:`pending`. The work folder belongs to one combination of view, parameters and source files; another
    combination starts from scratch. Videos that a finished shard of this name holds with these parameters,
    from a file of the same size and time, are reused. A lock excludes a second process.

    Args:
        path: the final name, ``.../00003.h5``.
        view: name of the view.
        video_ids: all ids of the shard, in their final order.
        parameters: whatever produced the frames; stored as the attribute ``parameters`` (JSON).
        codec: how frames are coded, see :data:`cocon.shards.format.Codec`.
        sources: the state of every video's file by id, stored with it, so that work from another version of a
            video is not reused; a missing entry means unknown.
        remember: keep a hidden second name of the shard, for the next one to take videos from.
    """

    def __init__(
        self,
        path: Path,
        *,
        view: str,
        video_ids: Sequence[str],
        parameters: dict[str, Any],
        codec: Codec,
        sources: Mapping[str, FileState] | None = None,
        remember: bool = False,
    ) -> None:
        repeated = [video_id for video_id, count in Counter(video_ids).items() if count > 1]
        if repeated:
            raise ShardError(f"video '{repeated[0]}' is listed {video_ids.count(repeated[0])} times")
        self.path = Path(path)
        self.view = view
        self.codec: Codec = codec
        self.parameters = parameters
        self.video_ids = list(video_ids)
        self._numbers = {video_id: number for number, video_id in enumerate(video_ids)}
        self._sources = {video_id: (sources or {}).get(video_id, UNKNOWN) for video_id in video_ids}
        self._key = fingerprint([VERSION, view, codec, parameters, list(self._sources.items())])
        self.work = self.path.with_name(f".{self.path.stem}.work")
        self._remembers = remember
        self._last = self.path.with_name(f".{self.path.stem}.last")
        self._lock = file_lock(self.path.with_name(f".{self.path.stem}.lock"), blocking=False)
        self._rows: dict[str, VideoInfo] = {}

    def __enter__(self) -> Self:
        with self._full_disk_is_said():
            try:
                self._lock.__enter__()
            except BlockingIOError as error:
                raise ShardError(
                    f"another process is writing {self.path}",
                    "wait until it has finished, or stop it, then run again",
                ) from error
            try:
                self._rows = self._resume()
                self._take_over()
            except BaseException as error:
                self._lock.__exit__(type(error), error, error.__traceback__)
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.__exit__(kind, error, trace)
        with self._full_disk_is_said():
            if error is not None and no_room(error):
                raise error

    @contextlib.contextmanager
    def _full_disk_is_said(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            number = no_room(error)
            if not number or isinstance(error, CoConError):
                raise
            raise ShardError(
                f"there is no room to write in {self.path.parent}: {os.strerror(number)}",
                "free some space and run again: the videos that are finished are kept",
            ) from error

    def _resume(self) -> dict[str, VideoInfo]:
        key = self.work / "key"
        if not key.exists() or key.read_text() != self._key:
            shutil.rmtree(self.work, ignore_errors=True)
            (self.work / _ROWS).mkdir(parents=True)
            (self.work / _DATA).mkdir()
            with atomic_path(key) as temporary:
                temporary.write_text(self._key)
            return {}
        for part in (self.work / _DATA).glob("*.part"):
            part.unlink()
        rows = [VideoInfo(**read_json(row)) for row in sorted((self.work / _ROWS).glob("[0-9]*"))]
        return {row.id: row for row in rows if not row.usable or self._is_whole(row)}

    def _is_whole(self, row: VideoInfo) -> bool:
        return read_index(self._file(_DATA, row.id), row.frames) is not None

    def _take_over(self) -> None:
        """Copy the videos of the existing or previous shard that have the same settings and source files."""
        pending = [video_id for video_id in self.pending if self._sources[video_id].known]
        place = self.path if self.path.exists() else self._last
        if not pending or not place.exists():
            return
        with contextlib.suppress(ShardError):
            old = Shard(place)
            if (old.view, old.codec) != (self.view, self.codec):
                return
            if essential(old.view, old.parameters) != essential(self.view, self.parameters):
                return
            for video_id in pending:
                row = old.videos.get(video_id)
                if row and row.usable and row.source == self._sources[video_id]:
                    self._copy(old, row)

    def _copy(self, old: Shard, row: VideoInfo) -> None:
        with self.video(row.id) as spool:
            for frame in old.stored(row.id, range(row.frames)):
                spool.append_stored(frame)
            spool.commit(
                height=row.height,
                width=row.width,
                source_height=row.source_height,
                source_width=row.source_width,
                fps=row.fps,
                status=row.status,
                reason=row.reason,
            )

    @property
    def pending(self) -> list[str]:
        """Videos still to be added, in order."""
        return [video_id for video_id in self.video_ids if video_id not in self._rows]

    def _file(self, folder: str, video_id: str) -> Path:
        return self.work / folder / f"{self._numbers[video_id]:06d}"

    def video(self, video_id: str) -> VideoSpool:
        """A context that takes the frames of one video, of any length.

        Call :meth:`VideoSpool.append` for every frame and :meth:`VideoSpool.commit` at the end; without
        that, the video stays pending.
        """
        return VideoSpool(
            video_id, self._file(_DATA, video_id), self.codec, self._sources[video_id], self._keep
        )

    def add(self, record: VideoRecord) -> None:
        """Keep one finished video whose frames are in memory."""
        if (record.keypoints is not None) != (self.codec == "keypoints"):
            raise ValueError(f"video '{record.id}' does not belong in a {self.codec} shard")
        with self.video(record.id) as spool:
            for frame in record.content:
                spool.append(frame)
            spool.commit(
                height=record.height,
                width=record.width,
                source_height=record.source_height,
                source_width=record.source_width,
                fps=record.fps,
                status=record.status,
                reason=record.reason,
            )

    def skip(self, video_id: str, reason: str) -> None:
        """Keep the reason why a video has no frames."""
        source = self._sources[video_id]
        self._keep(VideoInfo(video_id, 0, 0, 0, 0, 0, 0.0, "skipped", reason, zlib.crc32(b""), *source))

    def _keep(self, row: VideoInfo) -> None:
        write_json(self._file(_ROWS, row.id), asdict(row))
        self._rows[row.id] = row

    def finish(self, max_failed_fraction: float = 0.0, known_missing: Collection[str] = ()) -> None:
        """Assemble, verify and name the shard, and remove the work folder.

        Args:
            max_failed_fraction: largest allowed fraction of failed videos.
            known_missing: videos whose files may be missing: they were counted when the whole data set was
                planned, and are not counted here.

        Raises:
            ShardError: when videos are pending, too many of them failed, or the disk is full.
        """
        if self.pending:
            raise ShardError(f"{len(self.pending)} videos of {self.path} have not been extracted")
        self._check_failures(max_failed_fraction, frozenset(known_missing))
        with self._full_disk_is_said(), atomic_path(self.path) as temporary:
            self._assemble(temporary)
            verify(temporary)
        if self._remembers:
            self._remember()
        shutil.rmtree(self.work)

    def _remember(self) -> None:
        """Keep a second name of the shard, for the next one to take videos from.

        Snakemake removes an output before the job that makes it again. Where hard links are not supported,
        all videos are extracted again.
        """
        link = self._last.with_name(f"{self._last.name}.{os.getpid()}")
        with contextlib.suppress(OSError):
            os.link(self.path, link)
            link.replace(self._last)

    def _check_failures(self, allowed: float, known_missing: frozenset[str]) -> None:
        rows = [self._rows[video_id] for video_id in self.video_ids]
        counted = [row for row in rows if not (row.id in known_missing and row.reason == MISSING)]
        skipped = [row for row in counted if not row.usable]
        if len(skipped) > allowed * len(counted):
            examples = "\n".join(f"    {row.id}: {row.reason}" for row in skipped[:5])
            for row in skipped:  # retry them in the next run; videos that succeeded are kept
                self._file(_ROWS, row.id).unlink()
            raise ShardError(
                f"{len(skipped)} of {len(counted)} videos of {self.path} failed "
                f"(max_failed_fraction is {allowed:g}):\n{examples}",
                "repair or remove these videos, or raise max_failed_fraction",
            )

    def _assemble(self, path: Path) -> None:
        rows = [self._rows[video_id] for video_id in self.video_ids]
        indices = [self._index(row) for row in rows if row.usable]
        lengths = np.concatenate([np.empty(0, np.int64), *(index["length"] for index in indices)])
        offsets = np.concatenate([[0], lengths]).astype(np.int64).cumsum()
        position = write_tables(
            path,
            view=self.view,
            codec=self.codec,
            parameters=self.parameters,
            rows=rows,
            offsets=offsets,
            checksums=np.concatenate([np.empty(0, np.uint64), *(index["checksum"] for index in indices)]),
        )
        with path.open("r+b") as file:
            file.seek(position)
            for row, index in zip((row for row in rows if row.usable), indices, strict=True):
                size = int(index["length"].sum())
                if copy_frames(self._file(_DATA, row.id), size, file) != row.crc32:
                    raise self._lost(row)
        seal(path, position, int(offsets[-1]))

    def _index(self, row: VideoInfo) -> np.ndarray:
        index = read_index(self._file(_DATA, row.id), row.frames)
        if index is None:
            raise self._lost(row)
        return index

    def _lost(self, row: VideoInfo) -> ShardError:
        self._file(_ROWS, row.id).unlink(missing_ok=True)
        return ShardError(f"the work on video '{row.id}' in {self.work} is damaged", "run the command again")
