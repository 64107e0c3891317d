"""The texts that SLURM's commands print; tests/slurm asks the real ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from cocon.errors import CoConError
from cocon.machine.slurm import ask, cancel_orphans


def test_an_unknown_command_and_a_failing_one_are_named() -> None:
    with pytest.raises(CoConError, match="there is no 'no-such-command'"):
        ask("no-such-command")
    with pytest.raises(CoConError, match="'ls /nowhere' failed"):
        ask("ls", "/nowhere")


def test_without_slurm_orphans_cannot_be_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CoConError, match="there is no 'squeue'"):
        cancel_orphans(tmp_path)


def test_orphans_are_the_rules_of_this_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder, programs = tmp_path / "with | a bar", tmp_path / "bin"
    folder.mkdir()
    programs.mkdir()
    (tmp_path / "link").symlink_to(folder, target_is_directory=True)
    queue = [
        f"1|rule_extract_wildcards_demo_rgb_00000|{folder}",
        f"2|(null)|{folder}",  # the job in which Snakemake itself runs, for instance
        f"3|rule_extract_wildcards_demo_rgb_00001|{tmp_path}",
        f"4_1|rule_probes|{folder}",
    ]
    (tmp_path / "queue").write_text("\n".join(queue))
    commands = {
        "squeue": f"cat {tmp_path}/queue",
        "scancel": f"echo $* > {tmp_path}/cancelled; : > {tmp_path}/queue",
    }
    for name, command in commands.items():
        (programs / name).write_text(f"#!/bin/sh\n{command}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    assert cancel_orphans(tmp_path / "link") == ["1", "4_1"]
    assert (tmp_path / "cancelled").read_text() == "1 4_1\n"
    assert cancel_orphans(folder) == []
