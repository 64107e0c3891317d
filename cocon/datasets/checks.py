"""Checks of a list of videos, made before hours are spent on it."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from cocon.datasets.manifest import TEST, TRAIN, Video, videos_of
from cocon.errors import DatasetError


def check_ids(videos: Sequence[Video]) -> None:
    """Two videos must not have the same id (``a.mp4`` and ``a.avi`` do)."""
    if not videos:
        raise DatasetError("the data set has no videos", "add rows to its table, or files to its folder")
    for video_id, count in Counter(video.id for video in videos).items():
        if count > 1:
            paths = ", ".join(str(video.path) for video in videos if video.id == video_id)
            raise DatasetError(
                f"{count} videos have the id '{video_id}': {paths}", "rename or remove all but one of them"
            )


def check_classes(videos: Sequence[Video], split: str, *, folds: bool = False) -> None:
    """Every class must have a video to learn from and one to be tested on.

    Args:
        videos: those of the lists.
        split: name of the split.
        folds: it is one fold of several: it need not test every class, another one does.
    """
    learned = Counter(video.label for video in videos_of(videos, split, TRAIN, labelled=True))
    tested = Counter(video.label for video in videos_of(videos, split, TEST, labelled=True))
    if not learned or not tested:
        role = TEST if learned else TRAIN
        raise DatasetError(
            f"split '{split}' has no labelled {role} video",
            "give some videos a label and the split value 'train', and others 'test'",
        )
    for label in sorted(learned.keys() | tested.keys()):
        if folds and tested[label] and not learned[label]:
            raise DatasetError(
                f"fold '{split}' tests all videos of the class '{label}' ({tested[label]}), none is left to "
                "train on",
                "a class needs videos of two groups at least: add some, or empty its label to use it for "
                "pretraining only",
            )
        if not folds and not (learned[label] and tested[label]):
            have, lack = (TRAIN, TEST) if learned[label] else (TEST, TRAIN)
            count = learned[label] + tested[label]
            raise DatasetError(
                f"class '{label}' has {count} {have} video{'s' * (count > 1)} and no {lack} video "
                f"in split '{split}'",
                f"add a {lack} video of this class, or empty its label to use it for pretraining only",
            )


def check_same_classes(videos: Sequence[Video], splits: Sequence[str]) -> None:
    """Every split must test the same classes: otherwise their accuracies cannot be averaged."""
    tested = {
        split: {video.label for video in videos_of(videos, split, TEST, labelled=True)} for split in splits
    }
    for label in sorted(set().union(*tested.values())):
        lacking = [split for split in splits if label not in tested[split]]
        if lacking:
            raise DatasetError(
                f"class '{label}' is tested in split '{next(s for s in splits if s not in lacking)}' and not "
                f"in split '{lacking[0]}'",
                "give some of its videos the values 'train' and 'test' there, or leave the split out of "
                "'splits:'",
            )


def check_files(videos: Sequence[Video], allowed_missing: float, advice: str) -> None:
    """Some videos of a public data set are always missing; most of them must be there.

    Args:
        videos: the videos of the list.
        allowed_missing: fraction that may be missing.
        advice: where to get the videos and where to put them.
    """
    missing = without_file(videos)
    if len(missing) > allowed_missing * len(videos):
        examples = "\n".join(f"    {video.path}{_look_alike(video.path)}" for video in missing[:3])
        raise DatasetError(
            f"{len(missing):,} of {len(videos):,} videos are missing, the first of them:\n{examples}", advice
        )


def _look_alike(path: Path) -> str:
    """The file that may be meant: the same name with another suffix, or written otherwise."""
    folder = path.parent
    if not folder.is_dir():
        near = [other for other in _entries(folder.parent) if _folded(other.name) == _folded(folder.name)]
        return f" (there is the folder {near[0]}{_difference(near[0].name, folder.name)})" if near else ""
    same = [other for other in _entries(folder) if _folded(other.stem) == _folded(path.stem)]
    return f" (there is {same[0].name}{_difference(same[0].stem, path.stem)})" if same else ""


def _folded(name: str) -> str:
    """What two names have in common that differ in capitals, Unicode form or encoding only."""
    return unicodedata.normalize("NFC", _from_latin_1(name)).casefold()


def _from_latin_1(name: str) -> str:
    """A name that is no UTF-8, read as Latin-1."""
    content = os.fsencode(name)
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _difference(there: str, wanted: str) -> str:
    """How two names differ that look the same; empty if it can be seen."""
    if there == wanted:
        return ""
    if (_from_latin_1(there), _from_latin_1(wanted)) != (there, wanted):
        return ", in another encoding: write both in UTF-8"
    if unicodedata.normalize("NFC", there) == unicodedata.normalize("NFC", wanted):
        form = "NFC" if unicodedata.is_normalized("NFC", there) else "NFD"
        return f", which looks the same: its letters are written in the Unicode form {form}"
    return ""


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def without_file(videos: Sequence[Video]) -> list[Video]:
    """Those whose file is missing.

    Every folder is read once: over a network that is far faster than a check of every file.
    """
    files: dict[str, set[str]] = {}
    missing = []
    for video in videos:
        folder, name = os.path.split(video.location)
        if folder not in files:
            files[folder] = _files_in(folder or os.curdir)
        if name not in files[folder]:
            missing.append(video)
    return missing


def _files_in(folder: str) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if _is_file(entry)}
    except (OSError, ValueError):
        return set()


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link that leads to itself
        return False
