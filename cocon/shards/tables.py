"""Reads everything in a shard but the frames, and validates it: a shard may come from an untrusted source.

A checksum finds accidents, but an attacker can recompute it. So positions outside the file, allocations
larger than the file and invalid numbers are refused here. HDF5 gets only the checked bytes, from memory,
without access to the frames, the disk or other files.
"""

from __future__ import annotations

import functools
import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import h5py
import numpy as np

from cocon.shards.format import FORMAT, READABLE, Codec, Status, VideoInfo, columns
from cocon.shards.header import SIZE, DamagedShardError, ShardHeader
from cocon.shards.sparse import SparseFile
from cocon.shards.version_2 import text_of
from cocon.views import VIEWS

MOST_VIDEOS = 1 << 20
LARGEST_SIDE = (1 << 16) - 1
LARGEST_PICTURE = 1 << 26
"""Pixels. A picture of 8K has half of that."""

_LAYOUTS = (h5py.h5d.CONTIGUOUS, h5py.h5d.COMPACT)
_TYPES = {"int": "<i8", "float": "<f8"}
_UNREADABLE = (AttributeError, KeyError, MemoryError, OSError, RuntimeError, TypeError, ValueError)


@dataclass(frozen=True)
class Contents:
    """Everything in a shard but the frames.

    Attributes:
        version: of the format.
        position: where ``frames/data`` begins in the file.
        offsets: ``int64`` (frames + 1), of each frame from there.
        checksums: ``uint64`` (frames), XXH64 of each; None in version 2.
    """

    version: int
    view: str
    codec: Codec
    parameters: dict[str, Any]
    rows: list[VideoInfo]
    offsets: np.ndarray
    checksums: np.ndarray | None
    position: int


def read_contents(path: Path) -> Contents:
    """Read a shard's tables, after a check of their checksum.

    Raises:
        ShardError: when the file is missing or cannot be read, is no shard, of another version, truncated,
            damaged or inconsistent, or refers to data outside the file.
    """
    path = Path(path)
    header, front, back = ShardHeader.read(path, READABLE)
    try:
        parts = {0: front, header.position + header.size: back}
        tables = SparseFile.of(parts, header.file_size)
        with h5py.File(path.name, "r", driver="fileobj", fileobj=tables) as file:
            contents = _contents(file, header, parts)
        _check(contents, header)
    except _UNREADABLE as error:
        raise DamagedShardError(f"{path} is damaged ({error})") from error
    return contents


def _contents(file: h5py.File, header: ShardHeader, parts: Mapping[int, bytes]) -> Contents:
    root = file.id
    text: Callable[[str], str] = (
        functools.partial(text_of, parts) if header.version == 2 else functools.partial(_text, file)
    )
    number = h5py.h5a.open(root, b"version")
    if number.get_type().get_class() != h5py.h5t.INTEGER or number.shape != ():
        raise ValueError("the attribute version is not a number")
    if text("format") != FORMAT or file.attrs["version"] != header.version:
        raise ValueError("its attributes do not match its version")
    data = _data_set(root, "frames/data", header)
    if (data.dtype, data.shape) != (np.uint8, (header.size,)):
        raise ValueError("frames/data differs from the user block")
    if header.size and data.get_offset() != header.position:
        raise ValueError("frames/data is at another offset than in the user block")
    codec: Any = text("codec")
    return Contents(
        version=header.version,
        view=text("view"),
        codec=codec,
        parameters=json.loads(text("parameters")),
        rows=_rows(root, header),
        offsets=_column(root, "frames/offsets", "<i8", header),
        checksums=_column(root, "frames/xxh64", "<u8", header) if header.version > 2 else None,
        position=header.position,
    )


def _text(file: h5py.File, name: str) -> str:
    """An attribute that is one string of fixed length."""
    attribute = h5py.h5a.open(file.id, name.encode())
    kind = attribute.get_type()
    if kind.get_class() != h5py.h5t.STRING or kind.is_variable_str() or attribute.shape != ():
        raise ValueError(f"the attribute {name} is not a string of fixed length")
    value: bytes = file.attrs[name]
    return value.decode()


def _data_set(root: h5py.h5g.GroupID, name: str, header: ShardHeader) -> h5py.h5d.DatasetID:
    """A contiguous data set within the file; its content is not read."""
    found: Any = root
    for part in name.encode().split(b"/"):
        if not isinstance(found, h5py.h5g.GroupID) or found.links.get_info(part).type != h5py.h5l.TYPE_HARD:
            raise ValueError(f"{name} is not a data set of this file")
        found = h5py.h5o.open(found, part)
    if not isinstance(found, h5py.h5d.DatasetID):
        raise ValueError(f"{name} is not a data set")
    made = found.get_create_plist()
    if made.get_layout() not in _LAYOUTS or made.get_external_count() or made.get_nfilters():
        raise ValueError(f"{name} is not stored in one piece in the file itself")
    if found.get_space().get_simple_extent_type() != h5py.h5s.SIMPLE or found.rank != 1:
        raise ValueError(f"{name} is not a list")
    size = found.shape[0] * found.get_type().get_size()
    if size and made.get_layout() == h5py.h5d.CONTIGUOUS:
        begin = found.get_offset()
        if begin is None or not SIZE <= begin <= begin + size <= header.file_size:
            raise ValueError(f"{name} does not lie in the file")
    return found


def _column(root: h5py.h5g.GroupID, name: str, type_: str, header: ShardHeader) -> np.ndarray:
    """The content of a data set that has numbers of this type, or bytes of any fixed length (``S``)."""
    found = _data_set(root, name, header)
    kind = found.get_type()
    strings = kind.get_class() == h5py.h5t.STRING and not kind.is_variable_str()
    if not (strings if type_ == "S" else found.dtype == np.dtype(type_)):
        raise ValueError(f"{name} has another type than {type_}")
    values: np.ndarray = h5py.Dataset(found)[:]
    return values


def _rows(root: h5py.h5g.GroupID, header: ShardHeader) -> list[VideoInfo]:
    """The rows of the video table, in their order."""
    table: dict[str, list[Any]] = {}
    for column in columns(header.version):
        values = _column(root, f"videos/{column.name}", _TYPES.get(str(column.type), "S"), header)
        if len(values) > MOST_VIDEOS:
            raise ValueError(f"it has {len(values)} videos")
        if column.type in _TYPES:
            table[column.name] = values.tolist()
        else:
            table[column.name] = [value.decode("utf-8", "surrogateescape") for value in values.tolist()]
    return [VideoInfo(**dict(zip(table, row, strict=True))) for row in zip(*table.values(), strict=True)]


def _check(contents: Contents, header: ShardHeader) -> None:
    """Raise ValueError for the first invalid value."""
    if contents.view not in VIEWS or contents.codec not in get_args(Codec):
        raise ValueError(f"the view '{contents.view}' or the codec '{contents.codec}' is unknown")
    if not isinstance(contents.parameters, dict):
        raise ValueError("its parameters are not a mapping")
    _check_rows(contents.rows)
    offsets, frames = contents.offsets, sum(row.frames for row in contents.rows)
    if len(offsets) != frames + 1 or offsets[-1] != header.size:
        raise ValueError("the offsets do not fit the frames")
    if contents.checksums is not None and len(contents.checksums) != frames:
        raise ValueError("the checksums do not fit the frames")
    if offsets[0] != 0 or np.any(offsets[1:] < offsets[:-1]):
        raise ValueError("the offsets are not in order")
    limits = [_largest(row, contents) for row in contents.rows]
    if np.any(np.diff(offsets) > np.repeat(limits, [row.frames for row in contents.rows])):
        raise ValueError("a frame has more bytes than its picture can have")


def _check_rows(rows: Sequence[VideoInfo]) -> None:
    repeated = [video_id for video_id, count in Counter(row.id for row in rows).items() if count > 1]
    if repeated:
        raise ValueError(f"the video '{repeated[0]}' is listed twice")
    for row in rows:
        sides = (row.height, row.width)
        fits = max(sides) <= LARGEST_SIDE and math.prod(sides) <= LARGEST_PICTURE
        if row.frames < 0 or min(row.source_height, row.source_width, row.source_bytes) < 0:
            raise ValueError(f"the row of video '{row.id}' has a negative number")
        if row.usable and not (min(sides) > 0 and fits):
            raise ValueError(f"video '{row.id}' has pictures of {row.height} x {row.width} px")
        if row.status not in get_args(Status) or not math.isfinite(row.fps):
            raise ValueError(f"the row of video '{row.id}' has an unknown status or rate")


def _largest(row: VideoInfo, contents: Contents) -> int:
    """Upper bound of the bytes of a coded frame of a video."""
    if contents.codec == "keypoints":
        return 1 << 24
    return (1 << 16) + 16 * row.height * row.width * VIEWS[contents.view].channels
