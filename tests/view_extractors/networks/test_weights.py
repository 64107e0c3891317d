"""Published weights: hash, resuming, concurrency, and what a user without a network is told."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch

from cocon.errors import AssetError
from view_extractors.networks import weights
from view_extractors.networks.weights import (
    WEIGHTS,
    Weights,
    check_finite,
    load_weights,
    resolve,
    weights_folder,
)

CONTENT = np.random.default_rng(0).bytes(300_000)


class Server(ThreadingHTTPServer):
    """Serves ``content``; breaks off after ``limit`` bytes of a response; remembers what it was asked for."""

    content = CONTENT
    limit = 10**9
    ranges = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str | None] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers["Range"]
        self.server.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.server.ranges else 0
        if start and start >= len(self.server.content):
            self.send_error(416)
            return
        body = self.server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.server.limit])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(tmp_path, monkeypatch) -> Iterator[Server]:
    """A server on this machine, and the only weights registered: ``toy``."""
    monkeypatch.setenv("COCON_CACHE", str(tmp_path))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as running:
        digits = hashlib.sha256(CONTENT).hexdigest()[:8]
        url = f"http://127.0.0.1:{running.server_port}/models/toy-{digits}.pth"
        monkeypatch.setattr(weights, "WEIGHTS", {"toy": Weights(url, digits)})
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_pinned_digits_are_those_in_the_name():
    """Detectron2 numbers its files in another way."""
    for entry in WEIGHTS.values():
        assert len(entry.sha256) == 64 or entry.sha256 in entry.filename
        if entry.filename.endswith(".pth"):
            assert f"-{entry.sha256[:8]}" in entry.filename


def test_downloaded_once(server):
    path = resolve("toy")
    assert path.read_bytes() == CONTENT
    assert resolve("toy") == path
    assert server.asked == [None]
    assert [file.name for file in weights_folder().iterdir()] == [path.name]


@pytest.mark.parametrize("ranges", [True, False])
def test_broken_download_goes_on_where_it_stopped(server, ranges):
    server.ranges = ranges
    server.limit = 100_000
    with pytest.raises(AssetError, match="broke after 100000 of 300000 bytes"):
        resolve("toy")
    server.limit = 10**9
    assert resolve("toy").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-"]


def test_complete_download_without_its_name_is_taken(server):
    weights_folder().mkdir()
    name = weights.WEIGHTS["toy"].filename
    (weights_folder() / f"{name}.part").write_bytes(CONTENT)
    assert resolve("toy").read_bytes() == CONTENT


def test_changed_file_is_refused_and_forgotten(server):
    server.content = CONTENT[:-1] + b"?"
    with pytest.raises(AssetError, match="not the pinned file") as error:
        resolve("toy")
    assert hashlib.sha256(server.content).hexdigest() in error.value.message
    assert list(weights_folder().iterdir()) == []
    server.content = CONTENT
    assert resolve("toy").read_bytes() == CONTENT


def test_damaged_cache_is_noticed(server):
    resolve("toy").write_bytes(b"half")
    with pytest.raises(AssetError, match="not the pinned file") as error:
        resolve("toy")
    assert "remove it" in error.value.hint


def test_without_a_network_the_error_names_file_source_place_and_hash(server):
    server.shutdown()
    server.server_close()
    with pytest.raises(AssetError, match="cannot download") as error:
        resolve("toy")
    entry = weights.WEIGHTS["toy"]
    for needed in (entry.filename, entry.url, str(weights_folder()), entry.sha256):
        assert needed in error.value.hint
    weights_folder().mkdir(exist_ok=True)
    (weights_folder() / entry.filename).write_bytes(CONTENT)
    assert resolve("toy").read_bytes() == CONTENT


def test_missing_page_is_an_error(server, monkeypatch):
    monkeypatch.setattr(Handler, "do_GET", lambda handler: handler.send_error(404))
    with pytest.raises(AssetError, match="404"):
        resolve("toy")
    assert list(weights_folder().iterdir()) == []


def test_concurrent_users_download_once(server):
    threads = [threading.Thread(target=resolve, args=("toy",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.asked == [None]


def test_loads_tensors_and_executes_nothing(tmp_path, monkeypatch):
    saved = torch.nn.Linear(3, 2)
    torch.save(saved.state_dict(), tmp_path / "good.pth")
    torch.save({"weight": Trap()}, tmp_path / "bad.pth")
    monkeypatch.setenv("COCON_CACHE", str(tmp_path / "cache"))
    files = {name: (tmp_path / f"{name}.pth") for name in ("good", "bad")}
    monkeypatch.setattr(
        weights,
        "WEIGHTS",
        {n: Weights(f.as_uri(), hashlib.sha256(f.read_bytes()).hexdigest()) for n, f in files.items()},
    )
    network = torch.nn.Linear(3, 2)
    load_weights(network, "good")
    torch.testing.assert_close(network.weight, saved.weight)
    with pytest.raises(AssetError, match=r"bad\.pth is not a file of weights for this network") as error:
        load_weights(network, "bad")
    assert "delete it" in error.value.hint
    assert not Trap.sprung
    with pytest.raises(AssetError, match="size mismatch"):
        load_weights(torch.nn.Linear(4, 2), "good")


def test_weights_that_are_not_finite_are_refused(tmp_path):
    with pytest.raises(AssetError, match=r"a\.pth has weights that are not finite numbers: bias"):
        check_finite(tmp_path / "a.pth", {"weight": torch.ones(2), "bias": torch.tensor([1, torch.inf])})


class Trap:
    """Notices when it is unpickled."""

    sprung = False

    def __reduce__(self) -> tuple:
        return (_spring, ())


def _spring() -> None:
    Trap.sprung = True
