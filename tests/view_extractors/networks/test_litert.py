from __future__ import annotations

import builtins
import threading
from pathlib import Path

import numpy as np
import pytest

from cocon import assets
from cocon.errors import AssetError
from view_extractors.networks.litert import LiteRt, Pool


def test_missing_interpreter_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("ai_edge_litert"):
            raise ModuleNotFoundError("No module named 'ai_edge_litert'", name="ai_edge_litert")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        AssetError, match=r"a\.tflite needs the package ai-edge-litert, which is not installed"
    ):
        LiteRt(Path("a.tflite"))


def test_the_input_may_change_its_size(movenet_weights):
    network = LiteRt(assets.fetch("movenet"))
    rng = np.random.default_rng(0)
    first, other = (rng.integers(0, 255, (height, 96, 3), np.uint8) for height in (64, 128))
    before = network(first)[1, 6, 56]
    assert not np.array_equal(network(other)[1, 6, 56], before)
    np.testing.assert_array_equal(network(first)[1, 6, 56], before)


def test_a_pool_keeps_the_order_and_never_lends_a_network_twice(movenet_weights):
    pool = Pool(assets.fetch("movenet"), 3)
    lent: set[int] = set()
    lock = threading.Lock()
    barrier = threading.Barrier(3)

    def work(network, item):
        with lock:
            assert id(network) not in lent
            lent.add(id(network))
        barrier.wait(30)  # three at a time, or it fails
        with lock:
            lent.remove(id(network))
        return 2 * item

    assert pool.map(work, range(12)) == list(range(0, 24, 2))


def test_an_error_gives_the_network_back(movenet_weights):
    pool = Pool(assets.fetch("movenet"), 1)
    with pytest.raises(ZeroDivisionError):
        pool.map(lambda network, item: 1 / item, [0])
    assert pool.map(lambda network, item: item, [7]) == [7]
