"""From published archives to videos under their official names; every step can be killed and resumes.

Only files that the official lists name are taken out of an archive, whatever folders they are in, and they
are written to the paths that follow from the lists. An archive that was downloaded is removed once it is
unpacked, so that there are never more than two copies of a video.

Of two files of one name, the one that is known to replace the other is taken; two others must be the same.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from cocon.datasets.archives import Member, Place, check_reader, is_archive, not_there, unpack
from cocon.datasets.availability import archive_folder, download_of
from cocon.datasets.registry import source
from cocon.datasets.source import Archive, Part
from cocon.download import download
from cocon.errors import AssetError, DatasetError
from cocon.files import atomic_path, file_lock, read_json, write_json

log = logging.getLogger(__name__)

_BLOCK = 1 << 20


def get(settings: Any, *, own: Sequence[Path] = (), keep: bool = False) -> dict[str, Any]:
    """Put the lists and videos of a public data set where its section of the configuration says.

    Args:
        settings: of the data set.
        own: archives, or folders with archives or files, to take instead of downloading anything; those of
            the configuration if there are none.
        keep: do not remove downloaded archives.

    Returns:
        A receipt: what was taken from where, and how many of the listed videos are there now.

    Raises:
        DatasetError: no source has an archive, one is not the pinned one, the disk is too small, two files
            of one name differ, or more videos are missing than the data set is known to lack.
    """
    known = source(settings.kind)
    download_of(settings.kind)  # raises an error for an unpublished kind
    own = own or settings.from_archives
    store = archive_folder(settings)
    store.mkdir(parents=True, exist_ok=True)
    try:
        with file_lock(store / ".lock", blocking=False):
            receipts = _take_own(settings, own) if own else _take_published(settings, store, keep)
    except BlockingIOError:
        raise DatasetError(
            f"another `cocon data get` is using {store}", "wait until it has finished"
        ) from None
    videos = known.list_videos(settings)
    missing = [video.path for video in videos if not video.path.is_file()]
    if len(missing) > known.official.may_lack * len(videos):
        raise DatasetError(
            f"{len(missing):,} of {len(videos):,} listed videos were in no archive, for example {missing[0]}",
            f"remove *.json from {store} to have the archives unpacked again, or give others with --from",
        )
    return {"videos": len(videos) - len(missing), "listed": len(videos), "archives": receipts}


def _take_published(settings: Any, store: Path, keep: bool) -> list[dict[str, Any]]:
    """Lists first: they decide what is wanted of the archives."""
    published = download_of(settings.kind)
    lists = _Taking(_list_place(settings))
    receipts = [_receive(part, store, lists, keep) for part in published.lists]
    parts = published.parts(lambda archive: _obtain((archive,), store)[0])
    videos = _Taking(_video_place(settings), published.is_replacement)
    receipts += [_receive(part, store, videos, keep) for part in parts]
    for pair in videos.conflicts:
        log.warning("two files with the same name differ, the first is taken: %s", pair)
    return receipts


def _take_own(settings: Any, paths: Sequence[Path]) -> list[dict[str, Any]]:
    # What a file is follows from its path below what was given, and the name of that.
    files = {file: file.relative_to(path.parent) for path in paths for file in _files(path)}
    taken = dict.fromkeys(sorted(files), 0)
    for wanted in (_list_place, _video_place):
        taking = _Taking(wanted(settings), download_of(settings.kind).is_replacement)
        # First what lies in its place, archives last: whatever is taken can then be compared with.
        for file in sorted(taken, key=lambda file: (is_archive(file.name), taking.is_elsewhere(file))):
            taken[file] += taking.take(file, files[file])
        if taking.conflicts:
            several = len(taking.conflicts) > 1
            examples = "\n".join(f"    {pair}" for pair in taking.conflicts[:3])
            raise DatasetError(
                f"{len(taking.conflicts):,} name{'s stand' if several else ' stands'} for two files that "
                f"differ:\n{examples}",
                "leave out the wrong one of each pair, and run it again",
            )
    return [{"archive": str(file), "files": count} for file, count in taken.items() if count]


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    elif path.is_dir():
        yield from (file for file in path.rglob("*") if file.is_file())
    else:
        raise DatasetError(f"there is no {path}", "pass archives, or folders with archives or videos")


def _list_place(settings: Any) -> Place:
    pattern = download_of(settings.kind).list_name
    return lambda name: settings.lists / name.name if pattern.fullmatch(name.name) else None


def _video_place(settings: Any) -> Place:
    wanted = {video.path.name: video.path for video in source(settings.kind).list_videos(settings)}
    return lambda name: wanted.get(name.name)


def _receive(part: Part, store: Path, taking: _Taking, keep: bool) -> dict[str, Any]:
    """One part of the data set: there already, put in place by the user, or downloaded."""
    for archive in part:
        receipt = _receipt(store / archive.name)
        if "files" in receipt:
            return receipt
    path, receipt = _obtain(part, store)
    _need_room(store, path.stat().st_size, f"the files of {path.name}")
    receipt["files"] = taking.take(path, PurePath(path.name))
    os.sync()
    write_json(_receipt_path(path), receipt)
    log.info("%s: %s files", path.name, f"{receipt['files']:,}")
    if receipt["url"] and not keep:
        path.unlink()
    return receipt


def _obtain(part: Part, store: Path) -> tuple[Path, dict[str, Any]]:
    """The first of some alternative archives that exists locally, else that can be downloaded."""
    for archive in part:
        path = store / archive.name
        if path.is_file():
            if fault := archive.pin.fault(path):
                raise DatasetError(
                    f"{path} is not the published archive: {fault}",
                    f"remove it; or, if you trust it, use it without a check, with `cocon data get "
                    f"--from {path}`",
                )
            return path, _receipt(path) or _new_receipt(archive, path, "")
    faults = []
    for archive in part:
        path = store / archive.name
        partial = path.with_name(f"{path.name}.part")
        have = partial.stat().st_size if partial.exists() else 0
        try:
            check_reader(archive.name)
            # The archive, and its files beside it.
            _need_room(store, 2 * archive.pin.size - have, archive.name)
            url = download(archive.urls, path, archive.pin)
        except AssetError as error:
            faults.append(error.message)
            continue
        except DatasetError:
            if archive is part[-1]:
                raise
            continue
        receipt = _new_receipt(archive, path, url)
        write_json(_receipt_path(path), receipt)
        return path, receipt
    raise DatasetError(
        "\n".join(faults),
        f"try again later; or get {' or '.join(archive.name for archive in part)} elsewhere "
        f"and put it into {store}",
    )


def _need_room(folder: Path, size: int, what: str) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise DatasetError(
            f"{what} needs {size / 1e9:.1f} GB in {folder}, where {free / 1e9:.1f} GB are free",
            "free some space, or set 'archives:' and 'videos:' of this data set to another disk",
        )


class _Taking:
    """Takes files to where they belong, and decides between two that belong in one place.

    A replacement is taken whatever is there. Of two others, or of two replacements, the first is taken; if
    they differ, and no replacement comes for them, both are named by :attr:`conflicts`.

    Args:
        place: decides by a file's name.
        is_replacement: decides by the path of a file, or by those of an archive and of its member.
    """

    def __init__(self, place: Place, is_replacement: Callable[[PurePath], bool] = lambda path: False) -> None:
        self._place = place
        self._is_replacement = is_replacement
        self._taken: dict[Path, tuple[bool, str]] = {}
        self._conflicts: dict[Path, str] = {}

    @property
    def conflicts(self) -> list[str]:
        """Pairs of files of one name that differ, where it is unknown which one is intact."""
        return list(self._conflicts.values())

    def is_elsewhere(self, path: Path) -> bool:
        """Whether a file does not lie where it belongs."""
        target = self._place(PurePosixPath(path.name))
        return target is None or not target.exists() or not target.samefile(path)

    def take(self, path: Path, known_as: PurePath) -> int:
        """Take the wanted files of an archive, or a plain file; returns how many are wanted.

        Args:
            path: the archive or file.
            known_as: the part of its path that identifies the file.
        """
        if is_archive(path.name):
            return unpack(path, self._place, lambda member, to: self._choose(member, to, path, known_as))
        target = self._place(PurePosixPath(path.name))
        if target is None:
            return 0
        member = Member(PurePosixPath(path.name), path.stat().st_size, _Blocks(path))
        if self._choose(member, target, path, known_as) and self.is_elsewhere(path):
            with atomic_path(target) as temporary:
                shutil.copyfile(path, temporary)
        return 1

    def _choose(self, member: Member, target: Path, path: Path, known_as: PurePath) -> bool:
        """Whether a member of an archive, or a file, is to be written."""
        is_part = is_archive(path.name)
        replaces = self._is_replacement(known_as) or (is_part and self._is_replacement(member.name))
        source = f"{member.name} of {path}" if is_part else str(path)
        before = self._taken.get(target)
        if before is None or (replaces and not before[0]):
            self._taken[target] = replaces, source
            self._conflicts.pop(target, None)
            return replaces or not is_part or not_there(member, target)
        if before[0] == replaces and not _same(member, target):
            self._conflicts.setdefault(
                target, f"{before[1]} ({target.stat().st_size:,} bytes) and {source} ({member.size:,} bytes)"
            )
        return False


class _Blocks:
    """The content of a file, read on demand."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __iter__(self) -> Iterator[bytes]:
        with self._path.open("rb") as handle:
            while block := handle.read(_BLOCK):
                yield block


def _same(member: Member, target: Path) -> bool:
    """Whether a member has the content of a file."""
    if member.size != target.stat().st_size:
        return False
    with target.open("rb") as handle:
        return all(handle.read(len(block)) == block for block in member.blocks)


def _receipt_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _receipt(path: Path) -> dict[str, Any]:
    receipt: dict[str, Any] = read_json(_receipt_path(path)) if _receipt_path(path).is_file() else {}
    return receipt


def _new_receipt(archive: Archive, path: Path, url: str) -> dict[str, Any]:
    return {
        "archive": archive.name,
        "url": url,
        "bytes": path.stat().st_size,
        "checked": [name for name in ("size", "sha256") if getattr(archive.pin, name)],
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
