"""Checks that a shard is whole: format, tables, offsets and the checksum of every video."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args

import h5py
import numpy as np

from cocon.errors import ShardError
from cocon.shards.format import FORMAT, VERSION, Codec, VideoInfo
from cocon.shards.header import REBUILD, ShardHeader, crc_of
from cocon.views import VIEWS


@dataclass(frozen=True)
class Contents:
    """Everything in a shard but the frames.

    Attributes:
        position: where ``frames/data`` begins in the file.
        offsets: ``int64`` (frames + 1), of each frame from there.
    """

    view: str
    codec: Codec
    parameters: dict[str, Any]
    rows: list[VideoInfo]
    offsets: np.ndarray
    position: int


def read_contents(path: Path) -> Contents:
    """Read a shard's tables, after a check of their checksum.

    Raises:
        ShardError: when the file is missing, no shard, of another version, cut off or damaged.
    """
    path = Path(path)
    header = ShardHeader.read(path, VERSION)
    try:
        with h5py.File(path, "r", locking=False) as file:
            contents = _contents(file, header)
    except (KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise ShardError(f"{path} is damaged ({error})", REBUILD) from error
    wrong = _contradiction(contents, header)
    if wrong:
        raise ShardError(f"{path}: {wrong}", REBUILD)
    return contents


def _contents(file: h5py.File, header: ShardHeader) -> Contents:
    if file.attrs["format"] != FORMAT:
        raise ValueError(f"its format is '{file.attrs['format']}'")
    return Contents(
        view=file.attrs["view"],
        codec=file.attrs["codec"],
        parameters=json.loads(file.attrs["parameters"]),
        rows=read_table(file),
        offsets=file["frames/offsets"][:],
        position=header.position,
    )


def _contradiction(contents: Contents, header: ShardHeader) -> str:
    offsets = contents.offsets
    if contents.view not in VIEWS or contents.codec not in get_args(Codec):
        return f"the view '{contents.view}' or the codec '{contents.codec}' is unknown"
    if len(offsets) != sum(row.frames for row in contents.rows) + 1 or offsets[-1] != header.size:
        return "the offsets do not fit the frames"
    if offsets[0] != 0 or np.any(np.diff(offsets) < 0):
        return "the offsets are not in order"
    return ""


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
    contents = read_contents(path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            first = 0
            for row in contents.rows:
                begin, end = contents.offsets[[first, first + row.frames]] + contents.position
                if crc_of(descriptor, int(begin), int(end)) != row.crc32:
                    raise ShardError(f"{path}: the checksum of video '{row.id}' is wrong", REBUILD)
                first += row.frames
        finally:
            os.close(descriptor)
    except OSError as error:
        raise ShardError(f"{path} cannot be read ({error.strerror})") from error
    return contents.rows
