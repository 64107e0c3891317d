"""What the workflow wants to know of the machine that it is read on."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def has_gpu() -> bool:
    """Whether the machine has an NVIDIA GPU (found out without importing torch)."""
    return Path("/dev/nvidia0").exists()


def put_commands_on_path() -> None:
    """Let jobs find the commands that stand beside this Python, also when its environment is not activated."""
    folder = str(Path(sys.executable).parent)
    os.environ["PATH"] = os.pathsep.join([folder, os.environ.get("PATH", os.defpath)])
