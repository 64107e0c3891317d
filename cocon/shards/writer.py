"""Writes one shard so that a killed run loses nothing and never leaves a false result."""

from __future__ import annotations

import errno
import json
import os
import shutil
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np

from cocon.errors import ShardError
from cocon.files import atomic_path, file_lock, fingerprint, read_json, write_json
from cocon.shards.format import FORMAT, VERSION, Codec, VideoInfo, VideoRecord
from cocon.shards.verify import verify

_ROWS = "rows"
_DATA = "data"


class ShardWriter:
    """Collects videos in a work folder beside ``path`` and assembles the shard when all are there.

    Every finished video is on the disk at once: after ``kill -9`` the same call goes on with
    :attr:`pending`. The work folder belongs to one combination of view, parameters and source files; another
    combination starts afresh. A lock keeps a second process out.

    Args:
        path: the final name, ``.../00003.h5``.
        view: name of the view.
        video_ids: all ids of the shard, in the order in which they will stand.
        parameters: whatever produced the frames; stored as the attribute ``parameters`` (JSON).
        codec: ``jpeg`` or ``keypoints``.
        sources: anything that identifies the state of the source files (for instance sizes and times), so
            that work from an older version of a video is not taken over.
    """

    def __init__(
        self,
        path: Path,
        *,
        view: str,
        video_ids: Sequence[str],
        parameters: dict[str, Any],
        codec: Codec,
        sources: Any = None,
    ) -> None:
        repeated = [video_id for video_id, count in Counter(video_ids).items() if count > 1]
        if repeated:
            raise ShardError(f"video '{repeated[0]}' is listed {video_ids.count(repeated[0])} times")
        self.path = Path(path)
        self.view = view
        self.codec: Codec = codec
        self.parameters = parameters
        self.video_ids = list(video_ids)
        self._key = fingerprint([VERSION, view, codec, parameters, list(video_ids), sources])
        self.work = self.path.with_name(f".{self.path.stem}.work")
        self._lock = file_lock(self.path.with_name(f".{self.path.stem}.lock"), blocking=False)
        self._rows: dict[str, VideoInfo] = {}

    def __enter__(self) -> Self:
        try:
            self._lock.__enter__()
        except BlockingIOError as error:
            raise ShardError(
                f"another process is writing {self.path}", "wait for it, or stop it, then run again"
            ) from error
        self._rows = self._resume()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.__exit__(kind, error, trace)
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise ShardError(
                f"the disk of {self.path.parent} is full",
                "free some space and run again: the videos that are finished are kept",
            ) from error

    def _resume(self) -> dict[str, VideoInfo]:
        key = self.work / "key"
        if not key.exists() or key.read_text() != self._key:
            shutil.rmtree(self.work, ignore_errors=True)
            (self.work / _ROWS).mkdir(parents=True)
            (self.work / _DATA).mkdir()
            key.write_text(self._key)
            return {}
        rows = [VideoInfo(**read_json(row)) for row in sorted((self.work / _ROWS).glob("[0-9]*"))]
        return {row.id: row for row in rows}

    @property
    def pending(self) -> list[str]:
        """Ids that have no row yet."""
        return [video_id for video_id in self.video_ids if video_id not in self._rows]

    def _file(self, kind: str, video_id: str) -> Path:
        return self.work / kind / f"{self.video_ids.index(video_id):06d}"

    def add(self, record: VideoRecord) -> None:
        """Keep one finished video."""
        if record.codec != self.codec:
            raise ValueError(f"a {record.codec} record does not belong in a {self.codec} shard")
        with atomic_path(self._file(_DATA, record.id)) as temporary, temporary.open("wb") as handle:
            np.save(handle, record.lengths)
            handle.write(record.payload)
        self._add_row(record.info)

    def skip(self, video_id: str, reason: str) -> None:
        """Keep the reason why a video has no frames."""
        self._add_row(VideoInfo(video_id, 0, 0, 0, 0, 0, 0.0, "skipped", reason, zlib.crc32(b"")))

    def _add_row(self, row: VideoInfo) -> None:
        write_json(self._file(_ROWS, row.id), asdict(row))
        self._rows[row.id] = row

    def finish(self, max_failed_fraction: float = 0.0) -> None:
        """Assemble, verify and name the shard, and remove the work folder.

        Raises:
            ShardError: when videos are still pending, or more than ``max_failed_fraction`` of them failed.
        """
        if self.pending:
            raise ShardError(f"{len(self.pending)} videos of {self.path} have not been extracted")
        self._check_failures(max_failed_fraction)
        with atomic_path(self.path) as temporary:
            self._assemble(temporary)
            verify(temporary)
        shutil.rmtree(self.work)

    def _check_failures(self, allowed: float) -> None:
        skipped = [self._rows[video_id] for video_id in self.video_ids if not self._rows[video_id].usable]
        if len(skipped) > allowed * len(self.video_ids):
            examples = "\n".join(f"    {row.id}: {row.reason}" for row in skipped[:5])
            for row in skipped:  # give them another chance in the next run; what succeeded is kept
                self._file(_ROWS, row.id).unlink()
            raise ShardError(
                f"{len(skipped)} of {len(self.video_ids)} videos of {self.path} failed "
                f"(max_failed_fraction is {allowed:g}):\n{examples}",
                "mend or remove these videos, or raise max_failed_fraction",
            )

    def _payloads(self) -> Iterator[tuple[VideoInfo, np.ndarray, bytes]]:
        for video_id in self.video_ids:
            row = self._rows[video_id]
            if not row.usable:
                continue
            with self._file(_DATA, video_id).open("rb") as handle:
                lengths = np.load(handle, allow_pickle=False)
                yield row, lengths, handle.read()

    def _assemble(self, path: Path) -> None:
        rows = [self._rows[video_id] for video_id in self.video_ids]
        sizes = [lengths for _, lengths, _ in self._payloads()]
        offsets = np.concatenate([[0], *sizes]).astype(np.int64).cumsum()
        # The oldest layout of HDF5 keeps no times: the same videos give the same bytes.
        with h5py.File(path, "w", libver="earliest") as file:
            file.attrs.update(
                format=FORMAT,
                version=VERSION,
                view=self.view,
                codec=self.codec,
                parameters=json.dumps(self.parameters, sort_keys=True),
            )
            file["frames/offsets"] = offsets
            data = file.create_dataset("frames/data", (offsets[-1],), np.uint8)
            position = 0
            for _, _, payload in self._payloads():
                data[position : position + len(payload)] = np.frombuffer(payload, np.uint8)
                position += len(payload)
            _write_table(file, rows)


def _write_table(file: h5py.File, rows: Sequence[VideoInfo]) -> None:
    """Store the rows column by column under ``videos/``, strings as fixed-length UTF-8 bytes."""
    for column in fields(VideoInfo):
        values = [getattr(row, column.name) for row in rows]
        if column.type == "int":
            array = np.array(values, np.int64)
        elif column.type == "float":
            array = np.array(values, np.float64)
        else:
            encoded = [value.encode("utf-8", "surrogateescape") for value in values]
            array = np.array(encoded, f"S{max(1, *map(len, encoded))}" if encoded else "S1")
        file[f"videos/{column.name}"] = array


def source_state(path: Path) -> list[int]:
    """Size and modification time (ns) of a source file; empty when it is missing."""
    try:
        state = os.stat(path)
    except OSError:
        return []
    return [state.st_size, state.st_mtime_ns]
