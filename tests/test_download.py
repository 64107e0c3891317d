from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cocon import download as module
from cocon.download import Pin, download
from cocon.errors import AssetError
from tests.full_disk import files_up_to
from tests.http_server import FileServer, serving

CONTENT = np.random.default_rng(0).bytes(300_000)
PIN = Pin(len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(module, "PAUSE", 0.001)
    with serving() as running:
        yield running


def test_an_unsteady_connection_brings_the_whole_file(server: FileServer, tmp_path: Path) -> None:
    url = server.add("/a.rar", CONTENT)
    server.limit = 70_000
    assert download([url], tmp_path / "new" / "a.rar", PIN) == url
    assert (tmp_path / "new" / "a.rar").read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == [
        None,
        *(f"bytes={start}-" for start in (70_000, 140_000, 210_000, 280_000)),
    ]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.rar"]


def test_a_killed_download_goes_on(server: FileServer, tmp_path: Path) -> None:
    url = server.add("/a.rar", CONTENT)
    (tmp_path / "a.rar.part").write_bytes(CONTENT[:100])
    download([url], tmp_path / "a.rar", PIN)
    assert server.asked == [("/a.rar", "bytes=100-")]
    assert (tmp_path / "a.rar").read_bytes() == CONTENT


def test_a_server_that_cannot_resume_starts_anew(server: FileServer, tmp_path: Path) -> None:
    url = server.add("/a.rar", CONTENT)
    server.ranges = False
    (tmp_path / "a.rar.part").write_bytes(b"x" * 100)
    download([url], tmp_path / "a.rar", PIN)
    assert (tmp_path / "a.rar").read_bytes() == CONTENT


def test_the_next_address_is_tried(server: FileServer, tmp_path: Path) -> None:
    """The first is gone, the second answers with its start page, the third has a changed file."""
    url = server.add("/good", CONTENT)
    urls = [
        url.replace("good", "gone"),
        server.add("/home", b"<html>We have moved</html>"),
        server.add("/changed", CONTENT[:-1] + b"?"),
        url,
    ]
    assert download(urls, tmp_path / "a.rar", PIN) == url
    assert (tmp_path / "a.rar").read_bytes() == CONTENT
    assert [path for path, _ in server.asked] == ["/gone", "/home", "/changed", "/good"]


def test_the_error_says_what_each_address_answered(server: FileServer, tmp_path: Path) -> None:
    gone = server.add("/x", b"").replace("/x", "/gone")
    home = server.add("/home", b"<html>We have moved</html>")
    with pytest.raises(AssetError, match=r"no address has a\.rar") as error:
        download([gone, home], tmp_path / "a.rar", PIN)
    assert f"{gone}: HTTP Error 404" in error.value.message
    assert f"{home} has 26 bytes, not 300,000" in error.value.message
    assert list(tmp_path.iterdir()) == []


def test_a_busy_server_is_asked_again_and_then_given_up(server: FileServer, tmp_path: Path) -> None:
    url = server.add("/a.rar", CONTENT)
    server.status = 503
    with pytest.raises(AssetError, match="503"):
        download([url], tmp_path / "a.rar", PIN)
    assert len(server.asked) == module.ATTEMPTS


def test_without_a_published_hash_the_size_of_the_answer_counts(server: FileServer, tmp_path: Path) -> None:
    url = server.add("/a.csv", CONTENT)
    server.limit = 200_000
    download([url], tmp_path / "a.csv", Pin())
    assert (tmp_path / "a.csv").read_bytes() == CONTENT


def test_a_full_disk_is_not_the_fault_of_the_server(server: FileServer, tmp_path: Path) -> None:
    url = server.add("/a.rar", CONTENT)
    with files_up_to(100_000), pytest.raises(OSError, match="File too large") as error:
        download([url, url], tmp_path / "a.rar", PIN)
    assert error.value.filename == str(tmp_path / "a.rar.part")
    assert len(server.asked) == 1
    assert download([url], tmp_path / "a.rar", PIN) == url
    assert server.asked[-1] == ("/a.rar", "bytes=100000-")
