"""Open files of the readers: a few per process, however many shards there are."""

from __future__ import annotations

import operator
import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cocon.errors import ShardError

_LIMIT = 128
#: bytes; reading and copying this many takes about as long as one more call
_CALL = 1 << 14
Identity = tuple[int, int, int]


class Handle:
    """An open file; closed when its last user releases it, so eviction cannot close it in use.

    Reads give the position explicitly, so processes that share the file after a fork do not interfere. A file
    that is truncated, or gone on the server, raises an error; with a memory map it would be a signal.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)

    def __del__(self) -> None:
        if hasattr(self, "descriptor"):
            os.close(self.descriptor)

    def fill(self, frames: Sequence[memoryview], positions: Sequence[int]) -> None:
        """Fill each piece of memory with the bytes from its position on; raises ShardError.

        If the pieces are close together in the file, one call reads them all, gaps included.
        """
        if not frames:
            return
        begin = min(positions)
        size = max(map(operator.add, positions, map(len, frames))) - begin
        if size > _CALL * len(frames):
            self._read(frames, positions)
            return
        span = np.empty(size, np.uint8).data
        self._read([span], [begin])
        for memory, position in zip(frames, positions, strict=True):
            at = position - begin
            memory[:] = span[at : at + len(memory)]

    def _read(self, pieces: Sequence[memoryview], positions: Sequence[int]) -> None:
        descriptor, preadv = self.descriptor, os.preadv
        try:
            for memory, position in zip(pieces, positions, strict=True):
                done = preadv(descriptor, (memory,), position)
                while done < len(memory):  # a signal may cut a read short
                    more = preadv(descriptor, (memory[done:],), position + done)
                    if not more:
                        raise ShardError(f"{self.path} was cut off while it was being read")
                    done += more
        except OSError as error:
            raise ShardError(
                f"{self.path} cannot be read ({error.strerror})",
                "it may have been replaced, or the file server may be unavailable: run the command again",
            ) from error


def identity_of(file: Path | int) -> Identity:
    """The identity of a file, which changes when another file takes its name: inode, size, modification time.

    Raises:
        ShardError: when there is no such file, or its folder is not readable.
    """
    try:
        state = os.stat(file)
    except FileNotFoundError as error:
        raise ShardError(f"there is no shard {file}", "run the extraction first") from error
    except OSError as error:
        raise ShardError(f"{file} cannot be opened ({error.strerror})") from error
    return state.st_ino, state.st_size, state.st_mtime_ns


_open: OrderedDict[tuple[Path, Identity], Handle] = OrderedDict()
_lock = threading.Lock()
os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


def handle_of(path: Path, identity: Identity) -> Handle:
    """The open file ``path``.

    Raises:
        ShardError: when it cannot be opened, or no longer has this identity.
    """
    key = path, identity  # readers that opened the file before it was replaced continue with the old one
    with _lock:
        handle = _open.get(key)
        if handle is None:
            try:
                handle = Handle(path)
            except OSError as error:
                raise ShardError(f"{path} cannot be opened ({error.strerror})") from error
        if identity_of(handle.descriptor) != identity:
            _open.pop(key, None)
            raise ShardError(f"{path} was replaced after it was opened", "run the command again")
        _open[key] = handle
        _open.move_to_end(key)
        while len(_open) > _LIMIT:
            _open.popitem(last=False)
    return handle
