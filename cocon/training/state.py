"""The state of an unfinished run: one file in a folder of its own, removed when the run is done."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import torch

from cocon.errors import CheckpointError
from cocon.files import atomic_path

_VERSION = 1


class RunState:
    """Stores and restores what a run needs to go on as if it had never stopped.

    Args:
        root: folder for the states of all runs.
        key: fingerprint of everything that the result depends on; a run with other settings or other data
            has another key, so it can never continue from this state.
    """

    def __init__(self, root: Path, key: str) -> None:
        self.folder = Path(root) / key
        self.path = self.folder / "state.pt"

    def save(self, content: dict[str, Any]) -> None:
        """Replace the stored state by ``content`` (tensors, numbers, strings, lists, dictionaries)."""
        with atomic_path(self.path) as temporary:
            torch.save({"version": _VERSION, "content": content}, temporary)

    def load(self) -> dict[str, Any] | None:
        """The stored state with all tensors on the CPU; None when there is none.

        Raises:
            CheckpointError: when the file is damaged or of another version.
        """
        if not self.path.exists():
            return None
        hint = f"delete the folder {self.folder} to start this run anew"
        try:
            stored = torch.load(self.path, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
            raise CheckpointError(f"{self.path} cannot be read ({error})", hint) from error
        if stored.get("version") != _VERSION:
            raise CheckpointError(f"{self.path} was written by another version of this program", hint)
        content: dict[str, Any] = stored["content"]
        return content

    def remove(self) -> None:
        """Forget the state."""
        shutil.rmtree(self.folder, ignore_errors=True)
