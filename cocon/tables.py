"""Reads hand-written text files and CSV tables; errors name the wrong encoding, separator or line."""

from __future__ import annotations

import codecs
import contextlib
import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cocon.errors import CoConError, DatasetError

Rows = Iterator[tuple[int, list[str]]]
"""The line on which each row begins, and its cells, as many as there are columns."""

_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
_SEPARATORS = {";": "';'", "\t": "tabs", "|": "'|'"}
_START = 4096


def read_text(path: Path, error: type[CoConError] = DatasetError) -> str:
    """The text of a file in UTF-8; a byte order mark is left out.

    Args:
        path: the file.
        error: what is raised.

    Raises:
        CoConError: of the kind ``error``, when the file is in another encoding.
    """
    content = path.read_bytes()
    if encoding := _foreign_encoding(content[:_START]):
        raise error(f"{path} is written in {encoding}", "save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = content.count(b"\n", 0, fault.start) + 1
        raise error(f"{path}, line {line}: a character is not in UTF-8", "save it as UTF-8") from None


@contextlib.contextmanager
def open_table(path: Path, *, tidy: bool = False, whole: bool = False) -> Iterator[tuple[list[str], Rows]]:
    """Read a CSV table with a header; names of files that are no UTF-8 pass (surrogateescape).

    Args:
        path: the table.
        tidy: names of columns lose blanks around them and capitals.
        whole: a row with fewer cells than columns is an error; otherwise it gets empty cells.

    Yields:
        The names of the columns, and the rows. Empty lines are left out.

    Raises:
        DatasetError: the table is in another encoding, has another separator, the same column twice, a row
            with more cells than columns, or a quotation mark that is not closed.
    """
    with path.open("rb") as raw:
        if encoding := _foreign_encoding(raw.read(_START)):
            raise DatasetError(f"{path} is written in {encoding}", "save it as CSV in UTF-8")
    with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as handle:
        rows = _rows(path, csv.reader(handle, strict=True))
        _, header = next(rows, (1, []))
        if tidy:
            header = [name.strip().lower() for name in header]
        _check_header(path, header)
        yield header, _of_width(path, rows, len(header), whole)


def _foreign_encoding(start: bytes) -> str:
    """The encoding of a text that begins so, if it cannot be UTF-8."""
    for mark, name in _MARKS.items():
        if start.startswith(mark):
            return name
    return "UTF-16, or is no text at all" if b"\0" in start else ""


def _rows(path: Path, reader: Any) -> Rows:
    """Whole rows with the line on which each begins."""
    begin = 1
    try:
        for row in reader:
            if row:
                yield begin, row
            begin = reader.line_num + 1
    except csv.Error as error:
        fault, hint = str(error), "correct the line"
        if "unexpected end" in fault:
            fault, hint = "a quotation mark is never closed", "close it, or write it twice if it is a letter"
        elif "field limit" in fault:
            fault = f"a cell has more than {csv.field_size_limit():,} characters"
            hint = "a quotation mark that is not closed makes such a cell"
        raise DatasetError(f"{path}, line {begin}: {fault}", hint) from None


def _check_header(path: Path, header: list[str]) -> None:
    if len(header) == 1:
        for separator, name in _SEPARATORS.items():
            if separator in header[0]:
                raise DatasetError(
                    f"the columns of {path} are separated by {name}",
                    "separate them by ',': save the table as CSV with commas",
                )
    for name, count in Counter(header).items():
        if name and count > 1:
            raise DatasetError(f"{path} has {count} columns '{name}'", "rename or delete all but one of them")


def _of_width(path: Path, rows: Rows, width: int, whole: bool) -> Rows:
    for line, row in rows:
        if len(row) < width:
            if whole:
                raise DatasetError(f"{path}, line {line}: fewer cells than columns", "correct the line")
            row += [""] * (width - len(row))
        elif len(row) > width:
            if any(cell.strip() for cell in row[width:]):
                raise DatasetError(
                    f"{path}, line {line}: {len(row)} cells, but the table has {width} columns",
                    'put a cell that has a comma between quotation marks: "a, b.mp4"',
                )
            del row[width:]
        yield line, row
