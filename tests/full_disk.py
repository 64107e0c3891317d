"""A limit on the size of files: writing beyond it fails as on a full disk, with another error number.

Python must not keep compiled modules meanwhile: a cut-off file gets its final name, and later imports fail.
"""

from __future__ import annotations

import contextlib
import resource
import sys
from collections.abc import Iterator

import pytest


@contextlib.contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Limit the files of this process, and of those that it starts, to ``size`` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)
        patch.setenv("PYTHONDONTWRITEBYTECODE", "1")
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
