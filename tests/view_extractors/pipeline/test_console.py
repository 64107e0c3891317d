from __future__ import annotations

import sys
from pathlib import Path

import pytest

from view_extractors.pipeline import console
from view_extractors.pipeline.console import ConsoleProgress, describe, duration
from view_extractors.pipeline.progress import Summary


def tell(progress):
    progress.start(3)
    progress.frames(16, 16)
    progress.video("a", 16, "")
    progress.video("b", 0, "file is missing")
    progress.frames(5, 9)
    progress.batches_halved(8)
    progress.video("c", 5, "cut short: 5 of 9 coded frames are there")
    progress.up_to_date(Path("x.h5"))
    progress.finish(Summary(1, 1, 1, 21, 2.0, {"decode": 0.5, "inference": 1.9, "write": 0.1}))
    progress.close()


@pytest.mark.usefixtures("as_program")
def test_plain_lines_where_there_is_no_terminal(capsys):
    tell(ConsoleProgress())
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("[1/3] a: 16 frames, ok; ")
    assert "frames/s" in lines[0]
    assert lines[1].startswith("warning: [2/3] b: 0 frames, SKIPPED (file is missing)")
    assert lines[2] == "GPU memory is short: batches of 8 frames from now on"
    assert lines[3].startswith("[3/3] c: 5 frames, repaired (cut short: 5 of 9 coded frames are there)")
    assert lines[4] == "x.h5 is up to date"
    assert lines[5] == "1 ok, 1 repaired, 1 skipped; 21 frames in 2.0 s, 10.5 frames/s"
    assert lines[6] == ("at work: decode 25 %, inference 95 %, write 5 % of the time; bottleneck: inference")
    assert len(lines) == 7


@pytest.mark.usefixtures("as_program")
@pytest.mark.parametrize("terminal", [False, True])
def test_names_are_shown_and_not_executed(capsys, monkeypatch, terminal):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    progress = ConsoleProgress()
    progress.start(1)
    progress.video("\x1b]0;owned\x07\n\udcff", 0, "no \x1b[2J")
    progress.up_to_date(Path("\x1b[1m.h5"))
    progress.close()
    written = capsys.readouterr().err
    assert r"\x1b]0;owned\x07\n\xff: 0 frames, SKIPPED (no \x1b[2J)" in written
    assert r"\x1b[1m.h5 is up to date" in written
    assert "\x1b" not in written


@pytest.mark.usefixtures("as_program")
def test_long_video_gives_a_sign_of_life(capsys, monkeypatch):
    monkeypatch.setattr(console, "_PATIENCE", -1.0)
    progress = ConsoleProgress()
    progress.start(2)
    progress.frames(16, 100)
    assert capsys.readouterr().err.startswith("[1/2] goes on; ")


@pytest.mark.usefixtures("as_program")
def test_bar_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    tell(ConsoleProgress())
    written = capsys.readouterr().err
    assert "3 of 3 videos" in written
    assert "21/21" in written, "in the end the bar is full"
    assert "frames/s" in written
    assert "warning: b: 0 frames, SKIPPED (file is missing)" in written
    assert "[1/3]" not in written
    assert "1 ok, 1 repaired, 1 skipped" in written


def test_total_is_estimated_from_what_is_done_and_what_files_promise():
    progress = ConsoleProgress()
    progress.start(4)
    assert progress.total_frames is None
    progress.frames(10, 0)  # a file that does not say how long it is
    assert progress.total_frames is None
    progress.video("a", 20, "")
    progress.frames(10, 0)
    progress.frames(10, 40)
    assert progress.total_frames == 10 + 40 + 2 * 25
    progress.video("b", 40, "")
    assert progress.total_frames == 30 + 2 * 15


def test_nothing_to_do_says_nothing(capsys):
    progress = ConsoleProgress()
    progress.start(0)
    progress.finish(Summary())
    assert capsys.readouterr().err == ""


def test_summary_names_the_bottleneck():
    summary = Summary(ok=2, frames=100, seconds=10.0, busy={"decode": 9.0, "inference": 2.0, "write": 3.0})
    assert describe(summary).endswith("bottleneck: decode")
    assert summary.videos == 2


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (59, "59 s"),
        (61, "1 min 1 s"),
        (3600, "1 h 0 min"),
        (7380, "2 h 3 min"),
        (3_600_000, "1,000 h"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text
