"""Checkpoints of an unfinished run, in a folder of its own that is removed when the run is done."""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from cocon.errors import CheckpointError, CoConError
from cocon.files import atomic_path, file_lock, fingerprint
from cocon.loading import as_type, reading
from cocon.terminal import printable
from cocon.training.provenance import provenance

_VERSION = 2
_PREFIX, _BEST, _DAMAGED, _LOCK = "step_", "best.pt", ".damaged", "lock"
#: seconds: the workers of a killed process hold its lock until their next check, every 5 s
PATIENCE, _LOOK = 12.0, 0.2
_SHOWN = 8
#: stands for a setting missing from a description
_DEFAULT = "(default)"

log = logging.getLogger(__name__)


class RunState:
    """Stores and restores what a run needs to resume exactly where it stopped.

    A checkpoint holds the content and the description of its run, versions and git revision. Everything
    random is a function of (seed, epoch, step, process), so no generator state is stored.

    Args:
        root: folder for the states of all runs.
        description: everything that the result depends on, as a JSON-like document; a run with another
            description has another folder, so it cannot resume from this state by accident.
        keep: how many checkpoints are kept.
    """

    def __init__(self, root: Path, description: Mapping[str, Any], keep: int = 2) -> None:
        self.root = Path(root)
        self.description = dict(description)
        self.key = fingerprint(self.description)
        self.folder = self.root / self.key
        self.keep = keep

    def save(self, content: Mapping[str, Any], step: int) -> Path:
        """Add the checkpoint of a step (tensors, numbers, strings, lists, dictionaries); drop the oldest."""
        path = self.folder / f"{_PREFIX}{step:09d}.pt"
        self._write(path, content)
        for old in self._checkpoints()[self.keep :]:
            old.unlink()
        return path

    def save_best(self, content: Mapping[str, Any]) -> None:
        """Replace the best checkpoint, in the folder of the newest."""
        self._write(self.folder / _BEST, content)

    def load_best(self) -> dict[str, Any]:
        """The content of :meth:`save_best`."""
        return self.load(self.folder / _BEST)

    def newest(self) -> Path | None:
        """The newest checkpoint that can be read; None when there is none at all.

        A damaged one is renamed, with a warning.

        Raises:
            CheckpointError: when all checkpoints are damaged.
        """
        faults = []
        for path in self._checkpoints():
            try:
                self.load(path)
            except CheckpointError as error:
                if isinstance(error.__cause__, OSError) and error.__cause__.errno:
                    raise  # not damaged: the system cannot read it
                faults.append(error)
                path.rename(path.with_name(path.name + _DAMAGED))
                log.warning("%s; going back to the one before", printable(error.message))
            else:
                return path
        if faults:
            raise faults[0]
        return None

    def load(self, path: Path) -> dict[str, Any]:
        """The content of one checkpoint of this run, with all tensors on the CPU.

        Raises:
            CheckpointError: when the file is missing, damaged, of another version of the format, or of a run
                with another description (the message names the differences).
        """
        hint = f"delete the folder {self.folder} to start this run from the beginning"
        with reading(path, "", CheckpointError, missing=hint, damaged=hint):
            _check_sums(path)
            stored = torch.load(path, map_location="cpu", weights_only=True)
            if as_type(dict[str, Any], stored)["version"] != _VERSION:
                raise CheckpointError(f"{path} was written by another version of this program", hint)
            theirs = as_type(dict[str, Any], stored["description"])
            content = as_type(dict[str, Any], stored["content"])
        if theirs != self.description:
            listed = "".join(f"\n    {line}" for line in differences(theirs, self.description))
            raise CheckpointError(
                f"{path} belongs to a run with other settings or data (theirs -> ours):{listed}",
                "give the settings and data that it was trained with, or leave --resume out",
            )
        return content

    def relatives(self) -> Iterator[tuple[Path, list[str]]]:
        """Unfinished runs for the same purpose (the entry ``run``) with other settings or data.

        Yields:
            Their folder and :func:`differences` to this run.
        """
        for folder in sorted(self.root.glob("*/")):
            paths = sorted(folder.glob(f"{_PREFIX}*.pt"))
            if folder == self.folder or not paths:
                continue
            try:
                with reading(paths[-1], "checkpoint", CheckpointError, missing="", damaged=""):
                    stored = torch.load(paths[-1], map_location="cpu", weights_only=True, mmap=True)
                    theirs = as_type(dict[str, Any], as_type(dict[str, Any], stored)["description"])
            except CheckpointError:
                continue
            if theirs.get("run") == self.description.get("run"):
                yield folder, differences(theirs, self.description)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Lock this run against other processes; runs with another description are unaffected.

        Raises:
            CoConError: when another process has the lock.
        """
        with contextlib.ExitStack() as stack:
            stack.callback(self._remove_if_empty)
            deadline = time.monotonic() + PATIENCE
            while True:
                try:
                    stack.enter_context(file_lock(self.folder / _LOCK, blocking=False))
                    break
                except BlockingIOError:
                    if time.monotonic() >= deadline:
                        raise CoConError(
                            f"another process is at work on this run: it has locked {self.folder}",
                            "wait until it is done, or stop it; this one then resumes from its checkpoint",
                        ) from None
                time.sleep(_LOOK)
            yield

    def _remove_if_empty(self) -> None:
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    @property
    def rows(self) -> Path:
        """The log so far, for users; the run itself resumes from its checkpoints."""
        return self.folder / "log.jsonl"

    def remove(self) -> None:
        """Delete all checkpoints of this run."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _checkpoints(self) -> list[Path]:
        """All checkpoints, newest first."""
        return sorted(self.folder.glob(f"{_PREFIX}*.pt"), reverse=True)

    def _write(self, path: Path, content: Mapping[str, Any]) -> None:
        document = {"version": _VERSION, "description": self.description, "provenance": provenance()}
        with atomic_path(path) as temporary:
            torch.save(document | {"content": dict(content)}, temporary)


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> list[str]:
    """Lines ``key: theirs -> ours`` for the leaves that differ between two documents."""
    first, second = dict(_leaves(theirs)), dict(_leaves(ours))
    keys = [key for key in {**first, **second} if first.get(key, _DEFAULT) != second.get(key, _DEFAULT)]
    lines = [f"{key}: {first.get(key, _DEFAULT)} -> {second.get(key, _DEFAULT)}" for key in keys[:_SHOWN]]
    return lines + [f"and {len(keys) - _SHOWN} more"] * (len(keys) > _SHOWN)


def _check_sums(path: Path) -> None:
    """Refuse a corrupted file; torch.load would read a changed byte as a weight."""
    with zipfile.ZipFile(path) as file:
        if damaged := file.testzip():
            raise zipfile.BadZipFile(f"the checksum of {damaged} is wrong")


def _leaves(document: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in document.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
