"""Advisory locks that end with their process, with a fallback for file systems without locks."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import logging
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

#: errors of flock on Lustre without ``-o flock``, on NFS without lockd, and on some FUSE file systems
_UNSUPPORTED = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}
_LOCAL = "cocon-locks"
_warned: set[int] = set()


@dataclass(frozen=True)
class Lock:
    """A lock that this process holds, until :meth:`release` or its end.

    Attributes:
        path: the file that is locked.
        descriptor: of that file; closing it gives the lock back.
        local: the file system of the wanted file has no locks, so only processes of this machine are kept
            out.
        works: False if no folder of this machine supports locks either: no process is excluded.
    """

    path: Path
    descriptor: int
    local: bool = False
    works: bool = True

    def release(self, *, remove: bool = False) -> None:
        """Release the lock; ``remove`` the file while no other process can hold it."""
        if remove:
            self.path.unlink(missing_ok=True)
        os.close(self.descriptor)


def hold(path: Path, *, wait: bool) -> Lock | None:
    """Take an exclusive lock on a file, which is made if need be.

    If the file system has no locks, a corresponding file in a local folder is locked instead, with a warning,
    once: processes on other machines are not excluded.

    Args:
        path: of the lock file; its folder exists.
        wait: until the holder is done; else come back at once.

    Returns:
        The lock; None when another process holds it and ``wait`` is false.
    """
    try:
        return _hold(path, wait)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        reason = error.strerror
    name = hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()[:32]
    for folder in _local_folders():
        with contextlib.suppress(OSError):
            lock = _hold(_shared(folder) / name, wait)
            _warn(path, reason, f"only processes of this machine are kept apart, by {folder / _LOCAL}")
            return None if lock is None else Lock(lock.path, lock.descriptor, local=True)
    _warn(path, reason, "runs at the same time are not kept apart: start only one")
    return Lock(path, _open(path), local=True, works=False)


def _hold(path: Path, wait: bool) -> Lock | None:
    while True:
        descriptor = _open(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        if _is(path, descriptor):
            return Lock(path, descriptor)
        # The previous holder removed the file when it was done: the lock would be on a deleted file.
        os.close(descriptor)


def _is(path: Path, descriptor: int) -> bool:
    """Whether a name still stands for an open file."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except (FileNotFoundError, NotADirectoryError):
        return False


def _open(path: Path) -> int:
    """Open a lock file of any user; the kernel forbids re-creating another user's file in a shared folder.

    For writing if allowed: NFS requires it for an exclusive lock.
    """
    for flags in (os.O_RDWR, os.O_RDONLY):
        with contextlib.suppress(FileNotFoundError, PermissionError):
            return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    if (
        os.stat(path.parent).st_mode & stat.S_ISVTX
    ):  # a folder of all users: a umask of 077 would keep them out
        with contextlib.suppress(PermissionError):
            os.fchmod(descriptor, 0o644)
    return descriptor


def _local_folders() -> list[Path]:
    return [Path(name) for name in dict.fromkeys((tempfile.gettempdir(), "/tmp", "/dev/shm"))]


def _shared(folder: Path) -> Path:
    """A folder for the locks of all users of this machine."""
    shared = folder / _LOCAL
    shared.mkdir(exist_ok=True)
    with contextlib.suppress(PermissionError):  # another user made it, and did this
        shared.chmod(0o1777)
    return shared


def _warn(path: Path, reason: str | None, consequence: str) -> None:
    device = os.stat(path.parent).st_dev
    if device not in _warned:
        _warned.add(device)
        log.warning("the file system of %s has no locks (%s); %s", path.parent, reason, consequence)
