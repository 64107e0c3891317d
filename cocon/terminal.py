"""Prints text safely: escape sequences in names of files and videos are escaped."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from typing import TextIO

#: control characters, line separators, overrides of the writing direction, bytes that are no UTF-8
_HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
#: the name of standard output in errors
STDOUT = "standard output"
_SHORT = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}


def printable(text: object, keep: str = "") -> str:
    r"""The text with every character that a terminal would not show as itself escaped.

    Control characters become ``\x1b`` and the like, bytes of a file name that are no UTF-8 become ``\xff``.
    Everything else is unchanged, in any script.

    Args:
        text: for instance the name of a file.
        keep: characters that are not escaped, for instance the line ends of a table.
    """
    return _HIDDEN.sub(lambda found: found[0] if found[0] in keep else _escaped(found[0]), str(text))


def say(text: object, file: TextIO | None = None) -> None:
    """Print lines at once, each character printable; on standard output unless ``file`` is given."""
    with _named():
        print(printable(text, keep="\n"), file=sys.stdout if file is None else file, flush=True)


def flush() -> None:
    """Flush standard output; an error names it."""
    with _named():
        if sys.stdout is not None:
            sys.stdout.flush()


@contextlib.contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        error.filename = STDOUT
        raise


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # surrogateescape: a byte that is no UTF-8
        code -= 0xDC00
    return _SHORT.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
