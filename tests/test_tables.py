from __future__ import annotations

from pathlib import Path

import pytest

from cocon.errors import ConfigError, DatasetError
from cocon.tables import open_table, read_text


def rows_of(path: Path, **how: bool) -> tuple[list[str], list[tuple[int, list[str]]]]:
    with open_table(path, **how) as (header, rows):
        return header, list(rows)


def test_rows_know_the_line_on_which_they_begin(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b'\xef\xbb\xbfa,B \r\n\r\n1,"x\r\ny"\r\n2\r\nbad\xff,"""q"""\r\n3,4,,\r\n')
    assert rows_of(path) == (
        ["a", "B "],
        [(3, ["1", "x\r\ny"]), (5, ["2", ""]), (6, ["bad\udcff", '"q"']), (7, ["3", "4"])],
    )
    assert rows_of(path, tidy=True)[0] == ["a", "b"]
    with pytest.raises(DatasetError, match="line 5: fewer cells than columns"):
        rows_of(path, whole=True)


def test_an_empty_table_has_no_columns(tmp_path: Path) -> None:
    (tmp_path / "t.csv").touch()
    assert rows_of(tmp_path / "t.csv") == ([], [])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"a;b\n1;2\n", "the columns of .* are separated by ';'"),
        (b"a\tb\n1\t2\n", "the columns of .* are separated by tabs"),
        (b"a|b\n1|2\n", r"the columns of .* are separated by '\|'"),
        (b"a,b,a\n", "has 2 columns 'a'"),
        (b"a,b\n\n1,2,3\n", "line 3: 3 cells, but the table has 2 columns"),
        (b'a,b\n1,"2\n3,4\n', "line 2: a quotation mark is never closed"),
        (b"a,b\n1,2\n" + b"x" * 131_073 + b",1\n", "line 3: a cell has more than 131,072 characters"),
        (b'a,b\n"1"x,2\n', "line 2: ',' expected after"),
        ("a,b\n".encode("utf-16-le"), "is written in UTF-16"),
        ("\ufeffa,b\n".encode("utf-16-be"), "is written in UTF-16"),
    ],
)
def test_what_is_no_such_table_is_said(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DatasetError, match=sentence) as error:
        rows_of(tmp_path / "t.csv")
    assert error.value.hint


def test_one_column_may_have_any_name_without_a_separator(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a\nx;y\n")
    assert rows_of(tmp_path / "t.csv") == (["a"], [(2, ["x;y"])])


def test_text_is_utf8(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_bytes("\ufeffgrün\n".encode())
    assert read_text(path) == "grün\n"
    path.write_bytes("a\ngrün\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"t\.txt, line 2: a character is not in UTF-8"):
        read_text(path, ConfigError)
    path.write_bytes("grün\n".encode("utf-32"))
    with pytest.raises(DatasetError, match="is written in UTF-32"):
        read_text(path)
