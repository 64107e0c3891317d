"""Checks that a shard is whole: format, offsets and the checksum of every video."""

from __future__ import annotations

import json
import zlib
from dataclasses import fields
from pathlib import Path

import h5py
import numpy as np

from cocon.errors import ShardError
from cocon.shards.format import FORMAT, VERSION, VideoInfo


def open_shard(path: Path) -> h5py.File:
    """Open a shard for reading after a look at its format and version.

    Raises:
        ShardError: when the file is missing, no HDF5 file, no shard, or of a newer version.
    """
    if not Path(path).is_file():
        raise ShardError(f"there is no shard {path}")
    try:
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        raise ShardError(f"{path} is not a readable HDF5 file ({error})", _REBUILD) from error
    if file.attrs.get("format") != FORMAT:
        file.close()
        raise ShardError(f"{path} is an HDF5 file, but not a shard of CoCon")
    if file.attrs["version"] > VERSION:
        version = file.attrs["version"]
        file.close()
        raise ShardError(f"{path} has format version {version}; this program reads up to {VERSION}")
    return file


_REBUILD = "delete the file and run the workflow again; it makes the shard anew"


def read_table(file: h5py.File) -> list[VideoInfo]:
    """The rows of the video table, in their order."""
    columns = []
    for column in fields(VideoInfo):
        values = file[f"videos/{column.name}"][:].tolist()
        if column.type not in ("int", "float"):
            values = [value.decode("utf-8", "surrogateescape") for value in values]
        columns.append(values)
    return [VideoInfo(*row) for row in zip(*columns, strict=True)]


def verify(path: Path) -> list[VideoInfo]:
    """Read the whole shard and compare every checksum.

    Returns:
        The rows of the video table.

    Raises:
        ShardError: naming the first thing that is wrong.
    """
    with open_shard(path) as file:
        try:
            rows = read_table(file)
            offsets = file["frames/offsets"][:]
            data = file["frames/data"]
            json.loads(file.attrs["parameters"])
            if len(offsets) != sum(row.frames for row in rows) + 1 or offsets[-1] != len(data):
                raise ShardError(f"{path}: the offsets do not fit the frames", _REBUILD)
            if np.any(np.diff(offsets) < 0):
                raise ShardError(f"{path}: the offsets are not in order", _REBUILD)
            first = 0
            for row in rows:
                begin, end = offsets[first], offsets[first + row.frames]
                if zlib.crc32(data[begin:end].tobytes()) != row.crc32:
                    raise ShardError(f"{path}: the checksum of video '{row.id}' is wrong", _REBUILD)
                first += row.frames
        except (KeyError, OSError, ValueError) as error:
            raise ShardError(f"{path} is damaged ({error})", _REBUILD) from error
    return rows
