"""The texts that SLURM's commands print; tests/slurm asks the real ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from cocon.errors import CoConError
from cocon.slurm import ask, cancel_orphans, jobname_prefix


def test_an_unknown_command_and_a_failing_one_are_named() -> None:
    with pytest.raises(CoConError, match="there is no 'no-such-command'"):
        ask("no-such-command")
    with pytest.raises(CoConError, match="'ls /nowhere' failed"):
        ask("ls", "/nowhere")


def test_without_slurm_orphans_cannot_be_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CoConError, match="there is no 'squeue'"):
        cancel_orphans(tmp_path)


def test_a_folder_has_its_prefix_by_whatever_name(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    assert jobname_prefix(tmp_path) == jobname_prefix(tmp_path / "link")
    assert jobname_prefix(tmp_path) != jobname_prefix(tmp_path.parent)
    # what the executor accepts in front of a job's name
    assert len(jobname_prefix(tmp_path)) <= 50
