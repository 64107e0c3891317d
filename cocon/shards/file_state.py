"""Which file a video was read from: its size and time, and its checksum if known."""

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
        modified: time of the last change, ns since 1970; 0 like the size: there is no file, or nobody looked.
        sha256: of its content, in hexadecimal; empty: not read.
    """

    size: int = 0
    modified: int = 0
    sha256: str = ""

    @classmethod
    def of(cls, path: Path) -> FileState:
        """What the folder says of a file, without reading it; :data:`UNKNOWN` when it is missing."""
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
        """Whether two descriptions cannot be of the same state of a file.

        Two checksums decide alone. Else size and time must agree; where one side knows nothing, nothing
        speaks against it.
        """
        if self.sha256 and other.sha256:
            return self.sha256 != other.sha256
        return self.known and other.known and self[:2] != other[:2]


UNKNOWN = FileState()


def sha256_in(text: str | None) -> str:
    """The sha256 that a cell of a table holds, in lower case; empty when it holds something else."""
    return text.lower() if text and _SHA256.fullmatch(text) else ""
