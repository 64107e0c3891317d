"""Provenance of a checkpoint: versions, git revision, hardware. Recorded, but not part of a run's
identity."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from cocon.versions import __version__

if TYPE_CHECKING:
    import torch

    from cocon.training.switches import Switches

_PACKAGES = ("torch", "numpy")


@cache
def provenance() -> dict[str, str]:
    """Versions of Python and of the packages that compute, and the git revision ("" if there is none)."""
    versions = {name: metadata.version(name) for name in _PACKAGES}
    return {"python": platform.python_version(), "cocon": __version__, **versions, "git": revision()}


def hardware(device: torch.device, processes: int, switches: Switches) -> str:
    """Describe the hardware of a training: kind of device, number of processes, and precision if not plain
    float32.
    """
    import torch  # not at the top: reports read versions without it

    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        name = f"{processor()}, {torch.get_num_threads()} threads"
    text = name if processes == 1 else f"{processes} x {name}"
    return text if switches == type(switches)() else f"{text} ({switches})"


def processor() -> str:
    """The model of this machine's processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(errors="replace").splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


@cache
def revision() -> str:
    """The git revision of this code, with ``-dirty`` if it has changes ("" if there is none)."""
    file = Path(__file__)

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(file.parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", file.name)  # not just any repository around an installed package
        return git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return ""
