"""Reads zip, tar and rar archives one member at a time; nothing in an archive ever becomes a path."""

from __future__ import annotations

import contextlib
import lzma
import os
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from cocon.errors import DatasetError
from cocon.files import no_room
from cocon.installation import how_to_install

SUFFIXES = (".rar", ".zip", ".tar", ".tar.gz", ".tgz")
_RAR = b"Rar!\x1a\x07"
_BLOCK = 1 << 20
_ENCRYPTED = 1  # bit of a zip member's flags
_DEEPEST = 4  # archives in archives; some zip files hold themselves
_LIBRARY = "`apt install libarchive13`, or `conda install libarchive`"
_BY_HAND = "or unpack the archive with unrar or 7-Zip and give the folder to `cocon data get --from`"
#: what the libraries raise for damaged, encrypted and unknown kinds of archives
_DAMAGED = (
    *(OSError, EOFError, ValueError, LookupError, RuntimeError, MemoryError, OverflowError),
    *(zlib.error, lzma.LZMAError, struct.error, zipfile.BadZipFile, tarfile.TarError),
)

Place = Callable[[PurePosixPath], Path | None]
"""From a member's name to where it belongs; None if it is not needed."""


@dataclass(frozen=True)
class Member:
    """One regular file of an archive; its blocks can be read until the next member is requested."""

    name: PurePosixPath
    size: int
    blocks: Iterable[bytes]


Choose = Callable[[Member, Path], bool]
"""Whether a member is written to the path where it belongs."""


def not_there(member: Member, target: Path) -> bool:
    """A member is written if no file of its size is there."""
    return not target.is_file() or target.stat().st_size != member.size


def is_archive(name: str) -> bool:
    """Whether a file's name is that of an archive."""
    return name.lower().endswith(SUFFIXES)


def check_reader(name: str) -> None:
    """Make sure that an archive of this name can be read here, before it is downloaded.

    Raises:
        DatasetError: it is a rar archive, and libarchive is missing.
    """
    if not name.lower().endswith(".rar"):
        return
    try:
        import libarchive  # noqa: F401
    except ModuleNotFoundError as error:
        raise DatasetError(
            "reading rar archives needs the Python package of libarchive, which is not installed",
            f"{how_to_install('libarchive')}, and the library itself ({_LIBRARY}), {_BY_HAND}",
        ) from error
    except (ImportError, TypeError, AttributeError, OSError) as error:
        # The Python package is installed, but it does not find a working library.
        raise DatasetError(
            "reading rar archives needs libarchive, which is not installed",
            f"install it ({_LIBRARY}), {_BY_HAND}",
        ) from error


def unpack(archive: Path, place: Place, choose: Choose = not_there) -> int:
    """Write the wanted members of an archive, and of the archives in it, to where they belong.

    A member that is there already, in its size, is not written again, so an interrupted unpacking resumes.
    Inner archives are copied out one at a time and removed again.

    Args:
        archive: zip, tar or rar.
        place: decides by a member's name; the paths that it returns must not be made from the name.
        choose: decides whether a wanted member is written.

    Returns:
        How many wanted members the archive has.

    Raises:
        DatasetError: the archive is damaged, or this kind of archive cannot be read here.
    """
    try:
        return _unpack(archive, place, choose)
    except _DAMAGED as error:
        if no_room(error):
            raise DatasetError(
                f"the disk is full; {archive} is unpacked only partly",
                "free some space and run it again; it resumes",
            ) from error
        raise DatasetError(
            f"{archive} cannot be unpacked: {error}",
            "if it is damaged, delete it and download it again; otherwise unpack it with another tool, "
            "and give the folder to `cocon data get --from`",
        ) from error


def read_members(archive: Path) -> Iterator[Member]:
    """The regular files of an archive; links, devices and folders are left out.

    Raises:
        DatasetError: libarchive is needed and missing.
        Exception: one of :data:`_DAMAGED`: the archive is damaged or encrypted.
    """
    with archive.open("rb") as handle:
        start = handle.read(len(_RAR))
    if start == _RAR:
        return _read_rar(archive)
    return _read_zip(archive) if zipfile.is_zipfile(archive) else _read_tar(archive)


def _unpack(archive: Path, place: Place, choose: Choose, depth: int = 0) -> int:
    if depth > _DEEPEST:
        raise ValueError(f"there are more than {_DEEPEST} nested archives")
    count = 0
    for member in read_members(archive):
        if target := place(member.name):
            if choose(member, target):
                _write(member, target)
            count += 1
        elif is_archive(member.name.name):
            with tempfile.TemporaryDirectory(dir=archive.parent, prefix=".inner-") as scratch:
                # Its name is ours: nothing of the member's becomes a path.
                _write(member, Path(scratch) / "archive")
                count += _unpack(Path(scratch) / "archive", place, choose, depth + 1)
    return count


def _write(member: Member, target: Path) -> None:
    """Write a member under a temporary name, then rename it. Files are not synced to disk one by one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{os.getpid()}.unpacking")
    try:
        with temporary.open("wb") as sink:
            sink.writelines(member.blocks)
            if sink.tell() != member.size:
                raise ValueError(f"{member.name} ends after {sink.tell():,} of {member.size:,} bytes")
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _read_zip(path: Path) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            # Unix writes the kind of a file into the upper half; others leave that 0.
            kind = stat.S_IFMT(info.external_attr >> 16)
            if info.flag_bits & _ENCRYPTED:
                raise ValueError(f"{info.filename} is encrypted")
            if not info.is_dir() and kind in (0, stat.S_IFREG):
                with archive.open(info) as handle:
                    yield Member(PurePosixPath(info.filename), info.file_size, _blocks(handle))


def _read_tar(path: Path) -> Iterator[Member]:
    with tarfile.open(path, "r|*", bufsize=_BLOCK) as archive:
        for info in archive:
            if info.isreg() and (handle := archive.extractfile(info)):
                yield Member(PurePosixPath(info.name), info.size, _blocks(handle))


def _read_rar(path: Path) -> Iterator[Member]:
    check_reader(".rar")
    import libarchive

    with _as_value_error(libarchive.ArchiveError), libarchive.file_reader(str(path)) as archive:
        for entry in archive:
            if entry.isreg:
                blocks = _guarded(entry.get_blocks(_BLOCK), libarchive.ArchiveError)
                yield Member(PurePosixPath(entry.pathname), entry.size or 0, blocks)


def _guarded(blocks: Iterable[bytes], error: type[Exception]) -> Iterator[bytes]:
    with _as_value_error(error):
        yield from blocks


@contextlib.contextmanager
def _as_value_error(error: type[Exception]) -> Iterator[None]:
    """Convert the library's error, whose class needs the library, into a ValueError."""
    try:
        yield
    except error as fault:
        raise ValueError(getattr(fault, "msg", None) or fault) from fault


def _blocks(handle: IO[bytes]) -> Iterator[bytes]:
    return iter(lambda: handle.read(_BLOCK), b"")
