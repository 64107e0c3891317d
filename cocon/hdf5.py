"""Writes HDF5 files, assembled in memory."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

import h5py

from cocon.files import atomic_path


@contextlib.contextmanager
def new_hdf5(path: Path) -> Iterator[h5py.File]:
    """Yield an empty HDF5 file that is written to ``path``, atomically, when the block succeeds.

    HDF5 does not write to the disk: if that is full, the library fails again on closing the file, and may
    crash.
    """
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        yield file
    with atomic_path(path) as temporary:
        temporary.write_bytes(memory.getbuffer())
