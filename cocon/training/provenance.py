"""Where a checkpoint comes from: versions and git revision. Told, but no part of what identifies a run."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

_PACKAGES = ("cocon", "torch", "numpy")


@cache
def provenance() -> dict[str, str]:
    """Versions of Python and of the packages that compute, and the git revision ("" if there is none)."""
    versions = {name: metadata.version(name) for name in _PACKAGES}
    return {"python": platform.python_version(), **versions, "git": _revision(Path(__file__))}


def _revision(file: Path) -> str:
    """The commit of the repository that tracks ``file``, with ``-dirty`` if it has changes."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(file.parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", file.name)  # not just any repository around an installed package
        return git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return ""
