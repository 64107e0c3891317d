from __future__ import annotations

import sys
from pathlib import Path

from view_extractors import console
from view_extractors.console import ConsoleProgress


def tell(progress):
    progress.start(3)
    progress.frames(16)
    progress.video("a", 16, "")
    progress.video("b", 0, "file is missing")
    progress.frames(5)
    progress.video("c", 5, "5 of 9 declared frames can be decoded")
    progress.up_to_date(Path("x.h5"))
    progress.close()


def test_plain_lines_where_there_is_no_terminal(capsys):
    tell(ConsoleProgress())
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("[1/3] a: 16 frames, ok; ")
    assert lines[0].endswith("frames/s")
    assert lines[1].startswith("[2/3] b: 0 frames, SKIPPED (file is missing)")
    assert lines[2].startswith("[3/3] c: 5 frames, repaired (5 of 9 declared frames can be decoded)")
    assert lines[3] == "x.h5 is up to date"


def test_long_video_gives_a_sign_of_life(capsys, monkeypatch):
    monkeypatch.setattr(console, "_PATIENCE", -1.0)
    progress = ConsoleProgress()
    progress.start(2)
    progress.frames(16)
    assert capsys.readouterr().err.startswith("[1/2] goes on; ")


def test_bar_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    tell(ConsoleProgress())
    written = capsys.readouterr().err
    assert "3 of 3 videos" in written
    assert "21 frames" in written
    assert "b: 0 frames, SKIPPED (file is missing)" in written
    assert "[1/3]" not in written
