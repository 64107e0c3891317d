"""Features of all videos from one frozen encoder, and the file that feature-based protocols read."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np

from cocon.errors import DatasetError
from cocon.files import atomic_path
from cocon.loading import as_type, check_finite, distinct, parse_object, reading, require

ARRAYS = ("encoder", "encoder_max", "context")
_BLOCK = 512  # bytes, the smallest user block of HDF5
_MAGIC = b"cocon features, sha256 of what follows these 512 bytes: "
_HDF5 = b"\x89HDF\r\n\x1a\n"
_DIVERGED = "the pretraining diverged: look at its loss, and lower the learning rate"


@dataclass(frozen=True)
class Features:
    """Features of n videos, each (n, D) float32, averaged over the windows of a video.

    ``encoder`` and ``encoder_max`` are mean and maximum of z over blocks and locations; ``context`` is
    the spatial mean of the aggregator's last state over all blocks. ``windows`` (n,) counts windows.
    ``settings`` records how they were computed.
    """

    ids: list[str]
    encoder: np.ndarray
    encoder_max: np.ndarray
    context: np.ndarray
    windows: np.ndarray
    view: str
    pretraining: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def rows(self) -> dict[str, int]:
        """Row of each video by its id; a video without features is absent."""
        return {video: row for row, video in enumerate(self.ids)}

    def select(self, name: str, ids: Sequence[str]) -> np.ndarray:
        """The rows of the array called ``name`` for ``ids``, (len(ids), D).

        Raises:
            DatasetError: A feature is not a finite number.
        """
        values = np.asarray(getattr(self, name)[[self.rows[video] for video in ids]])
        check_finite(f"the {self.pretraining} features of the view {self.view}", ids, values, _DIVERGED)
        return values


def write_features(path: Path, features: Features) -> None:
    """Write ``features`` as HDF5, atomically.

    The file begins with a user block of 512 bytes, which HDF5 skips: a line with the sha256 of everything
    after it. The HDF5 part is built in memory, so that a full disk raises an error in Python, not within
    HDF5.

    Raises:
        DatasetError: A feature is not a finite number; nothing is written then.
    """
    for name in ARRAYS:
        what = f"the {features.pretraining} features ({name}) of the view {features.view}"
        check_finite(what, features.ids, getattr(features, name), _DIVERGED)
    with h5py.File(path.name, "w", driver="core", backing_store=False) as file:
        ids = [video.encode("utf-8", "surrogateescape") for video in features.ids]
        file["ids"] = np.array(ids, dtype=np.bytes_)
        for name in ARRAYS:
            file[name] = np.asarray(getattr(features, name), dtype=np.float32)
        file["windows"] = np.asarray(features.windows, dtype=np.int32)
        file.attrs["view"] = features.view
        file.attrs["pretraining"] = features.pretraining
        file.attrs["settings"] = json.dumps(features.settings)
        file.flush()
        image: bytes = file.id.get_file_image()
    with atomic_path(path) as temporary, temporary.open("wb") as handle:
        handle.write(_user_block(hashlib.sha256(image).hexdigest()))
        handle.write(image)


def read_features(path: Path) -> Features:
    """Read what `write_features` wrote, and check all of it; a file of an earlier version has no checksum.

    Raises:
        DatasetError: The file is missing, damaged, no file of features, or has features that are not finite.
    """
    again = "delete it and run `cocon features` again"
    with reading(path, "file of features", DatasetError, missing="run `cocon features` first", damaged=again):
        with Path(path).open("rb") as handle:
            _check_sum(handle)
        with h5py.File(path, "r") as file:
            ids = _array(file, "ids", "S", (None,))
            shapes = {name: (len(ids), None) for name in ARRAYS}
            arrays = {name: _array(file, name, "f", shape) for name, shape in shapes.items()}
            features = Features(
                ids=distinct((video.decode("utf-8", "surrogateescape") for video in ids), "its videos"),
                **arrays,
                windows=_array(file, "windows", "iu", (len(ids),)),
                view=as_type(str, file.attrs["view"]),
                pretraining=as_type(str, file.attrs["pretraining"]),
                settings=parse_object(as_type(str, file.attrs["settings"])),
            )
        for name in ARRAYS:
            check_finite(f"{path}: the features ({name})", features.ids, getattr(features, name), _DIVERGED)
    return features


def check_known(path: Path, features: Features, videos: Container[str]) -> None:
    """Refuse features of videos missing from the manifest: they belong to another data set.

    Args:
        path: Where the features come from.
        features: What the file holds.
        videos: Ids of the manifest.

    Raises:
        DatasetError: There is such a video.
    """
    strange = [video for video in features.ids if video not in videos]
    if strange:
        raise DatasetError(
            f"{path} has features of {len(strange)} videos that are not in the manifest, "
            f"for example '{strange[0]}'",
            "pass the manifest that they were computed with, or run `cocon features` again",
        )


def _user_block(digest: str) -> bytes:
    return (_MAGIC + digest.encode() + b"\n").ljust(_BLOCK, b"\0")


def _check_sum(handle: IO[bytes]) -> None:
    """Compare the checksum in the user block with the rest of the file; a file without one is HDF5."""
    block = handle.read(_BLOCK)
    if block.startswith(_MAGIC):
        found = hashlib.file_digest(handle, "sha256").hexdigest()  # type: ignore[arg-type]
        if block != _user_block(found):
            raise ValueError("its checksum is wrong")
    elif not block.startswith(_HDF5):
        raise ValueError("it has another header")


def _array(file: h5py.File, name: str, kinds: str, shape: tuple[int | None, ...]) -> np.ndarray:
    """An array stored contiguously in this file, with as much data as its header claims."""
    own = isinstance(file.get(name, getlink=True), h5py.HardLink)
    array = file[name] if own else None
    if not isinstance(array, h5py.Dataset):
        raise KeyError(name)
    plain = array.id.get_create_plist().get_layout() == h5py.h5d.CONTIGUOUS and array.external is None
    if not plain or array.size * array.dtype.itemsize > os.fstat(file.id.get_vfd_handle()).st_size:
        raise ValueError(f"'{name}' is not stored in this file")
    require(array, name, kinds, shape)
    return np.asarray(array[()])
