"""The state of a video's source file: size, time, and checksum if known."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_LATEST = 2**63 - 1


class FileState(NamedTuple):
    """The state of a video's file.

    Attributes:
        size: bytes.
        modified: time of the last change, ns since 1970; 0 like the size: there is no file, or it is unknown.
        sha256: of its content, in hexadecimal; empty: not read.
    """

    size: int = 0
    modified: int = 0
    sha256: str = ""

    @classmethod
    def of(cls, path: Path) -> FileState:
        """The state of a file by its directory entry, without reading it; :data:`UNKNOWN` when it is
        missing."""
        try:
            state = os.stat(path)
        except OSError:
            return UNKNOWN
        return cls(state.st_size, min(state.st_mtime_ns, _LATEST))

    @property
    def known(self) -> bool:
        """Whether there is a size and a time to compare."""
        return self.size != 0 or self.modified != 0

    def contradicts(self, other: FileState) -> bool:
        """Whether two descriptions contradict each other.

        If both have checksums, only these are compared. Otherwise size and time must agree; unknown values
        match.
        """
        if self.sha256 and other.sha256:
            return self.sha256 != other.sha256
        return self.known and other.known and self[:2] != other[:2]


UNKNOWN = FileState()


def sha256_in(text: str | None) -> str:
    """The sha256 that a cell of a table holds, in lower case; empty when it holds something else."""
    return text.lower() if text and _SHA256.fullmatch(text) else ""
