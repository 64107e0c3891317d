"""Assembles one shard: tables through HDF5, frames by plain writes at the position that HDF5 reserved."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

from cocon.shards.format import FORMAT, VERSION, Codec, VideoInfo, columns
from cocon.shards.header import SIZE, ShardHeader, checksum
from cocon.shards.sparse import SparseFile

_CHUNK = 1 << 20


def write_tables(
    path: Path,
    *,
    view: str,
    codec: Codec,
    parameters: dict[str, Any],
    rows: Sequence[VideoInfo],
    offsets: np.ndarray,
    checksums: np.ndarray,
) -> int:
    """Write everything but the frames and the user block; returns the file position of the frames."""
    tables = SparseFile()
    # The oldest layout of HDF5 keeps no times: the same videos give the same bytes.
    with h5py.File(
        path.name, "w", libver="earliest", userblock_size=SIZE, driver="fileobj", fileobj=tables
    ) as file:
        texts = {
            "format": FORMAT,
            "view": view,
            "codec": codec,
            "parameters": json.dumps(parameters, sort_keys=True),
        }
        for name, text in texts.items():
            file.attrs[name] = np.bytes_(text.encode())
        file.attrs["version"] = VERSION
        file["frames/offsets"] = offsets
        file["frames/xxh64"] = checksums
        data = _reserve(file["frames"], int(offsets[-1]))
        _write_table(file, rows)
        position = int(data.get_offset()) if offsets[-1] else SIZE  # an empty data set has no position
    with path.open("wb") as target:
        tables.save(target)
    return position


def _reserve(group: h5py.Group, size: int) -> h5py.h5d.DatasetID:
    """Create a contiguous data set ``data`` of this size, allocated in the file but not written."""
    settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    settings.set_layout(h5py.h5d.CONTIGUOUS)
    settings.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    settings.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    settings.set_obj_track_times(False)
    return h5py.h5d.create(group.id, b"data", h5py.h5t.STD_U8LE, h5py.h5s.create_simple((size,)), settings)


def _write_table(file: h5py.File, rows: Sequence[VideoInfo]) -> None:
    """Store the rows column by column under ``videos/``, strings as fixed-length UTF-8 bytes."""
    for column in columns(VERSION):
        values = [getattr(row, column.name) for row in rows]
        if column.type == "int":
            array = np.array(values, np.int64)
        elif column.type == "float":
            array = np.array(values, np.float64)
        else:
            encoded = [value.encode("utf-8", "surrogateescape") for value in values]
            array = np.array(encoded, f"S{max(1, *map(len, encoded))}" if encoded else "S1")
        file[f"videos/{column.name}"] = array


def copy_frames(source: Path, size: int, target: BinaryIO) -> int:
    """Append the first ``size`` bytes of ``source``, piece by piece; returns their CRC-32."""
    crc = 0
    with source.open("rb") as file:
        while size > 0 and (piece := file.read(min(_CHUNK, size))):
            target.write(piece)
            crc = zlib.crc32(piece, crc)
            size -= len(piece)
    return crc


def seal(path: Path, position: int, size: int) -> None:
    """Write the user block of an otherwise complete file, and sync it to disk."""
    with path.open("r+b") as file:
        header = ShardHeader(VERSION, 0, os.fstat(file.fileno()).st_size, position, size)
        for _ in range(2):  # the checksum covers the block's own other bytes
            file.seek(0)
            file.write(header.to_bytes())
            file.flush()
            header = header._replace(crc32=checksum(*header.around_frames(file.fileno())))
        os.fsync(file.fileno())
