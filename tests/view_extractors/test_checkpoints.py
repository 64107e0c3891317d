from __future__ import annotations

import os
import pickle
from collections import deque

import numpy as np
import pytest
import torch

from cocon.errors import AssetError
from view_extractors import checkpoints
from view_extractors.checkpoints import load_published, read_tensors


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch '{self.path}'",)


class Meta:
    """Stands for a training framework's own classes."""

    def __init__(self) -> None:
        self.history = deque([1.0, 2.0])


@pytest.fixture
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_are_read_and_nothing_is_executed(network, tmp_path, zipped):
    path, trace = tmp_path / "a.pth", tmp_path / "trace"
    meta = {"evil": Evil(trace), "meta": Meta(), "palette": np.arange(6), "classes": ("person",)}
    torch.save(
        {"meta": meta, "state_dict": network.state_dict()}, path, _use_new_zipfile_serialization=zipped
    )
    read = read_tensors(path)
    assert not trace.exists()
    assert read.keys() == network.state_dict().keys()
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(read[name], tensor)


def test_detectron2_writes_arrays(network, tmp_path):
    path, trace = tmp_path / "a.pkl", tmp_path / "trace"
    arrays = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    path.write_bytes(
        pickle.dumps({"model": arrays, "__author__": "someone", "evil": Evil(trace)}, protocol=2)
    )
    read = read_tensors(path)
    assert not trace.exists()
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(read[name], tensor)


def test_an_evil_weight_is_no_weight(tmp_path):
    path, trace = tmp_path / "a.pth", tmp_path / "trace"
    torch.save({"state_dict": {"weight": Evil(trace)}}, path)
    with pytest.raises(AssetError, match="holds no tensors"):
        read_tensors(path)
    assert not trace.exists()


def published(monkeypatch, path, tensors) -> None:
    torch.save({"state_dict": tensors}, path)
    monkeypatch.setattr(checkpoints, "resolve", lambda name: path)


def test_weights_are_loaded(network, tmp_path, monkeypatch):
    wanted = {name: torch.full_like(tensor, 3) for name, tensor in network.state_dict().items()}
    del wanted["1.num_batches_tracked"]
    published(monkeypatch, tmp_path / "a.pth", wanted | {"anchors": torch.zeros(2)})
    load_published(network, "any")
    assert all((parameter == 3).all() for parameter in network.parameters())


def test_weights_of_another_network_are_named(network, tmp_path, monkeypatch):
    published(monkeypatch, tmp_path / "a.pth", {"0.weight": torch.zeros(4, 3, 3, 3)})
    with pytest.raises(AssetError, match=r"another network: it lacks 0\.bias"):
        load_published(network, "any")
    published(monkeypatch, tmp_path / "a.pth", {"0.weight": torch.zeros(9, 3, 3, 3)})
    with pytest.raises(AssetError, match="another network"):
        load_published(network, "any")
