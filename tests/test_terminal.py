from __future__ import annotations

import os
from pathlib import Path

import pytest

from cocon.terminal import printable, say


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("two\nlines\tand\rone", r"two\nlines\tand\rone"),
        ("\x7f\x9b2J", r"\x7f\x9b2J"),
        (os.fsdecode(b"bad\xff.mp4"), r"bad\xff.mp4"),
        ("\ud800", r"\ud800"),
        ("gpj.\u202eexe\u2028", r"gpj.\u202eexe\u2028"),
        ("läuft 走る رقص 👩‍🦯 e\u0301", "läuft 走る رقص 👩‍🦯 e\u0301"),
        (Path("a b/c'd"), "a b/c'd"),
    ],
)
def test_only_what_a_terminal_does_not_show_is_escaped(text: object, shown: str) -> None:
    assert printable(text) == shown


def test_line_ends_of_a_message_stay(capsys: pytest.CaptureFixture[str]) -> None:
    say("first\n  \x1b]0;title\x07")
    assert capsys.readouterr().out == "first\n  \\x1b]0;title\\x07\n"
