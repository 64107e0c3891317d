from __future__ import annotations

import io
import stat
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from cocon.datasets.archives import check_reader, unpack
from cocon.errors import DatasetError
from tests.damage import flips, mutants, refused
from tests.datasets.rar import rar

FILES = {"wave/a (1) & b's #2;_wave.avi": b"first" * 1000, "wave/ü_wave.avi": b"", "notes.txt": b"no"}


def make(kind: str, files: dict[str, bytes]) -> bytes:
    if kind == "rar":
        return rar(files)
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return buffer.getvalue()
    with tarfile.open(fileobj=buffer, mode="w:gz" if kind == "tar.gz" else "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def by_name(folder: Path):
    """Videos are wanted, whatever folder they are in."""
    return lambda name: folder / name.name if name.suffix == ".avi" else None


@pytest.mark.parametrize("kind", ["rar", "zip", "tar", "tar.gz"])
def test_wanted_members_come_out_whole(tmp_path: Path, kind: str) -> None:
    (tmp_path / "archive").write_bytes(make(kind, FILES))
    assert unpack(tmp_path / "archive", by_name(tmp_path / "out")) == 2
    found = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert found == {PurePosixPath(name).name: FILES[name] for name in list(FILES)[:2]}


@pytest.mark.parametrize("kind", ["rar", "zip", "tar"])
@pytest.mark.parametrize("name", ["../../out.avi", "/tmp/out.avi", "a/../../../out.avi", "a\\..\\out.avi"])
def test_a_path_in_an_archive_leads_nowhere(tmp_path: Path, kind: str, name: str) -> None:
    (tmp_path / "deep" / "in").mkdir(parents=True)
    (tmp_path / "deep" / "in" / "archive").write_bytes(make(kind, {name: b"x"}))
    place = {"out.avi": tmp_path / "wanted" / "out.avi"}
    unpack(tmp_path / "deep" / "in" / "archive", lambda member: place.get(member.name))
    files = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    assert files <= {Path("deep/in/archive"), Path("wanted/out.avi")}


def test_links_are_left_out(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "t", "w") as tar:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            info = tarfile.TarInfo("a.avi")
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
    link = zipfile.ZipInfo("a.avi")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "z", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    (tmp_path / "r").write_bytes(rar({"a.avi": b"/etc/passwd"}, mode=stat.S_IFLNK | 0o777))
    for name in "tzr":
        assert unpack(tmp_path / name, by_name(tmp_path / "out")) == 0
    assert not (tmp_path / "out").exists()


def test_archives_in_archives_leave_nothing_behind(tmp_path: Path) -> None:
    outer = rar({"hmdb/wave.rar": rar({"wave/a.avi": b"a"}), "hmdb/run.rar": rar({"run/b.avi": b"b"})})
    (tmp_path / "outer.rar").write_bytes(outer)
    assert unpack(tmp_path / "outer.rar", by_name(tmp_path / "out")) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "outer.rar"]


def test_what_is_there_is_not_written_again(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(make("zip", {"x.avi": b"abc", "y.avi": b"def"}))
    out = tmp_path / "out"
    out.mkdir()
    (out / "x.avi").write_bytes(b"ABC")
    (out / "y.avi").write_bytes(b"d")
    assert unpack(tmp_path / "a.zip", by_name(out)) == 2
    assert (out / "x.avi").read_bytes() == b"ABC", "of the right size"
    assert (out / "y.avi").read_bytes() == b"def"


@pytest.mark.parametrize("kind", ["rar", "zip", "tar", "tar.gz"])
def test_a_damaged_archive_leaves_no_half_file(tmp_path: Path, kind: str) -> None:
    content = make(kind, {"x.avi": bytes(range(256)) * 100})
    (tmp_path / "archive").write_bytes(content[: len(content) // 2])
    with pytest.raises(DatasetError, match="archive cannot be unpacked") as error:
        unpack(tmp_path / "archive", by_name(tmp_path / "out"))
    assert "--from" in error.value.hint
    assert list((tmp_path / "out").glob("*")) == []


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_flipped_byte_is_noticed(tmp_path: Path, kind: str) -> None:
    """Not in a stored member of a rar, whose checksum libarchive does not compare: rar files are pinned."""
    content = bytearray(make(kind, {"x.avi": bytes(range(256)) * 100}))
    content[len(content) // 3] ^= 1
    (tmp_path / "archive").write_bytes(content)
    with pytest.raises(DatasetError, match="cannot be unpacked"):
        unpack(tmp_path / "archive", by_name(tmp_path / "out"))
    assert list((tmp_path / "out").glob("*")) == []


def test_without_libarchive_the_error_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "libarchive", None)
    (tmp_path / "a.rar").write_bytes(rar({"x.avi": b"x"}))
    with pytest.raises(DatasetError, match="reading rar archives needs") as error:
        unpack(tmp_path / "a.rar", by_name(tmp_path))
    assert "apt install" in error.value.hint
    assert "pip install -e '.[workflow]'" in error.value.hint


def test_without_the_library_its_package_is_not_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "libarchive.py").write_text("raise OSError('libarchive.so: cannot open shared object file')")
    monkeypatch.delitem(sys.modules, "libarchive", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DatasetError, match="needs libarchive, which is not installed") as error:
        check_reader("a.rar")
    assert error.value.hint.startswith("install it (`apt install libarchive13`")


def test_an_encrypted_zip_gets_a_sentence(tmp_path: Path) -> None:
    content = bytearray(make("zip", {"x.avi": b"abc" * 50}))
    for header, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(header) + flags] |= 1
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DatasetError, match=r"a\.zip cannot be unpacked: x\.avi is encrypted") as error:
        unpack(tmp_path / "a.zip", by_name(tmp_path / "out"))
    assert "another tool" in error.value.hint
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("method", [6, 14, 97])
def test_a_compression_that_is_not_known_gets_a_sentence(tmp_path: Path, method: int) -> None:
    content = bytearray(make("zip", {"x.avi": b"abc" * 50}))
    for header, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        content[content.index(header) + place] = method
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DatasetError, match=r"a\.zip cannot be unpacked"):
        unpack(tmp_path / "a.zip", by_name(tmp_path / "out"))


def test_archives_without_end_in_each_other_are_refused(tmp_path: Path) -> None:
    content = make("zip", FILES)
    for _ in range(9):
        content = make("zip", {"inner.zip": content})
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DatasetError, match="more than 4 nested archives"):
        unpack(tmp_path / "a.zip", by_name(tmp_path / "out"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_damage_of_any_kind_gets_a_sentence(tmp_path: Path) -> None:
    path, out = tmp_path / "a.zip", tmp_path / "x.avi"
    path.write_bytes(content := make("zip", {"x.avi": b"abc" * 50}))

    def read() -> bytes:
        out.unlink(missing_ok=True)
        unpack(path, lambda name: out if name.suffix == ".avi" else None)
        return out.read_bytes() if out.exists() else b""

    for damaged in (*flips(content, 100), *mutants(content, 100)):
        refused(path, damaged, read, lambda found: found in (b"", b"abc" * 50))
