"""Helpers for reading files and for writing them atomically.

File names are bytes on Linux: names that are not UTF-8 are preserved in text files (surrogateescape).
"""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import json
import logging
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cocon.errors import CoConError, OutputError
from cocon.locks import hold

log = logging.getLogger(__name__)

#: no space, no quota, the limit of a file's size
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
#: patterns of the errno in error messages of HDF5 and safetensors
_HIDDEN_NUMBER = re.compile(r"\berrno = (\d+)|\(os error (\d+)\)")
#: the message of torch.save when the file is shorter than expected
_TORCH_FULL = re.compile(r"inline_container.*unexpected pos|PytorchStreamWriter failed writing", re.DOTALL)
#: bytes; file systems have 255, of which temporary files, locks and work folders need some more than a file
_LONGEST_NAME = 255 - 16
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFLNK: "a link that leads to itself",
}


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary name next to ``path``; rename it into place when the block succeeds.

    The file reaches the disk before it gets its name, so neither a reader nor a power cut ever
    meets a half-written file under the final name. On an error the temporary file is removed. The
    file has the mode that the umask gives to new files. If ``path`` is a link, its target is written.

    Raises:
        OutputError: ``path`` is not writable, see :func:`check_output`.
        OSError: with the final name, when the disk is full; also where a library in the block hides that.
    """
    check_output(path)
    final = Path(os.path.realpath(path))
    final.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last: some libraries choose the format, or add a suffix, by it.
    temporary = final.with_name(f".{final.stem}.{os.getpid()}.tmp{final.suffix}")
    try:
        with full_disk_named(path, temporary):
            mode = _create(temporary)
            yield temporary
            with temporary.open("rb") as written:
                if stat.S_IMODE(os.fstat(written.fileno()).st_mode) != mode:  # safetensors makes it 0600
                    os.fchmod(written.fileno(), mode)
                os.fsync(written.fileno())
        temporary.replace(final)
        sync_folder(final.parent)
        log.debug("wrote %s", path)
    finally:
        temporary.unlink(missing_ok=True)


def _create(path: Path) -> int:
    """Create an empty file; returns the mode that umask and folder give it."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        return stat.S_IMODE(os.fstat(descriptor).st_mode)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def full_disk_named(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Give the error of a full disk, quota or limit of file size the name of the file that is written.

    Args:
        path: the final name of a file or folder.
        temporary: its name while it is written.

    Raises:
        OSError: with ``path``, also where a library in the block hides the cause.
    """
    try:
        yield
    except Exception as error:
        number = no_room(error)
        if not number or isinstance(error, CoConError):
            raise
        name = getattr(error, "filename", None)
        if name is not None and not (temporary and str(name).startswith(str(temporary))):
            raise  # it is about another file
        raise OSError(number, os.strerror(number), str(path)) from error


def no_room(error: BaseException | None) -> int:
    """The number of a full disk, quota or limit of file size among an error and its causes; 0: none of them.

    Libraries hide it: HDF5 and safetensors in their messages, torch behind another error.
    """
    torch_is_short = False
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return int(error.errno)
        if found := _HIDDEN_NUMBER.search(str(error)):
            number = int(found[1] or found[2])
            if number in _FULL:
                return number
        torch_is_short |= isinstance(error, RuntimeError) and bool(_TORCH_FULL.search(str(error)))
        error = error.__cause__ or error.__context__
    return errno.ENOSPC if torch_is_short else 0


def check_output(path: Path) -> None:
    """Refuse a path that cannot be written; call it before long computations.

    Only a regular file is ever replaced, never a folder, a device, a pipe or a socket. A link stands for its
    target.

    Raises:
        OutputError: saying what is in the way.
    """
    final = Path(os.path.realpath(path))
    with _as_output_error(path):
        check_folder(final.parent)
        _check_length(path, final.name)
        try:
            kind = stat.S_IFMT(final.lstat().st_mode)
        except FileNotFoundError:
            return
        if kind != stat.S_IFREG:
            what = _KINDS.get(kind, "no regular file")
            raise OutputError(f"{path} cannot be written: it is {what}", "give a file name")


def check_folder(path: Path) -> None:
    """Refuse a folder that cannot be made, or in which nothing can be written.

    Raises:
        OutputError: saying what is in the way.
    """
    with _as_output_error(path):
        existing, missing = _nearest(Path(os.path.realpath(path)))
        for name in missing:
            _check_length(path, name)
        if not existing.is_dir():
            raise OutputError(
                f"{path} cannot be written: {existing} is not a folder", "choose another folder"
            )
        if not os.access(existing, os.W_OK | os.X_OK):
            raise OutputError(
                f"{path} cannot be written: {existing} is not writable",
                "choose another folder, or change its permissions",
            )


def output_file(text: str) -> Path:
    """A type of arguments: the path of a file that can be written, see :func:`check_output`."""
    check_output(Path(text))
    return Path(text)


def output_folder(text: str) -> Path:
    """A type of arguments: the path of a folder that can be written, see :func:`check_folder`."""
    check_folder(Path(text))
    return Path(text)


def _check_length(path: Path, name: str) -> None:
    if len(os.fsencode(name)) > _LONGEST_NAME:
        raise OutputError(
            f"{path} cannot be written: its name is too long", f"use at most {_LONGEST_NAME} bytes"
        )


def _nearest(path: Path) -> tuple[Path, list[str]]:
    """The path, or the nearest folder above it that exists; and what is missing below that."""
    missing = []
    while not os.path.lexists(path) and path != path.parent:
        missing.append(path.name)
        path = path.parent
    return path, missing


@contextlib.contextmanager
def _as_output_error(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}", "choose another folder") from error


def sync_folder(path: Path) -> None:
    """Sync a folder to disk: without it, a rename may be lost in a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def file_lock(path: Path, *, blocking: bool = True) -> Iterator[None]:
    """Hold an exclusive advisory lock; it is released when its process dies.

    On a file system without locks it keeps processes of this machine apart, see :func:`cocon.locks.hold`.

    Raises:
        BlockingIOError: when another process holds it and ``blocking`` is false.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = hold(path, wait=False)
    if lock is None and blocking:
        log.info("waiting for another process, which holds %s", path)
        lock = hold(path, wait=True)
    if lock is None:
        raise BlockingIOError(errno.EWOULDBLOCK, "another process holds the lock", str(path))
    try:
        yield
    finally:
        lock.release(remove=True)
        if lock.local:
            path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape")


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically. NaN is refused: it is not valid JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(Path(path).read_text(encoding="utf-8", errors="surrogateescape"))


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]], columns: list[str]) -> None:
    """Write ``rows`` as CSV with the given columns, atomically; missing values stay empty."""
    with (
        atomic_path(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as handle,
    ):
        writer = csv.DictWriter(handle, columns, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def read_csv(path: Path) -> list[dict[str, str]]:
    """Read a CSV file with a header line; a byte order mark is ignored."""
    with Path(path).open(newline="", encoding="utf-8-sig", errors="surrogateescape") as handle:
        return list(csv.DictReader(handle))


def fingerprint(value: Any) -> str:
    """16 hexadecimal digits that identify a JSON-like value (sha256 of its canonical JSON)."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def sha256_of(path: Path) -> str:
    """The sha256 of a file's content, in hexadecimal."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
