from __future__ import annotations

import os
import pickle
from collections import deque

import numpy as np
import pytest
import torch

from cocon.errors import AssetError
from tests.damage import mutants, refused
from view_extractors.networks import checkpoints
from view_extractors.networks.checkpoints import load_published, read_tensors


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
    with pytest.raises(AssetError, match="contains no tensors"):
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


@pytest.mark.parametrize(
    "content", [[1, 2], {}, "text", {"a": "b"}, {"a": [1.0]}, {1: np.ones(2)}, {"a": np.array(["x"])}]
)
@pytest.mark.parametrize("suffix", [".pth", ".pkl"])
def test_something_else_in_place_of_weights(tmp_path, content, suffix):
    path = tmp_path / f"a{suffix}"
    torch.save(content, path) if suffix == ".pth" else path.write_bytes(pickle.dumps(content))
    if content == {}:
        assert read_tensors(path) == {}
        return
    with pytest.raises(AssetError, match=f"a{suffix}") as error:
        read_tensors(path)
    assert "delete it" in error.value.hint


@pytest.mark.parametrize("kind", ["zip", "legacy", "pkl"])
def test_damaged_checkpoints_get_a_sentence(tmp_path, kind):
    path = tmp_path / ("a.pkl" if kind == "pkl" else "a.pth")
    if kind == "pkl":
        path.write_bytes(pickle.dumps({"model": {"a": np.ones((3, 4), np.float32)}}, protocol=2))
    else:
        tensors = {"state_dict": {"a": torch.ones(3, 4)}}
        torch.save(tensors, path, _use_new_zipfile_serialization=kind == "zip")
    for damaged in mutants(path.read_bytes(), 60):
        # Its sha256 is compared before; here it only must not end with another error than ours.
        refused(path, damaged, lambda: read_tensors(path), lambda found: True)


def test_weights_that_are_not_finite_are_refused(network, tmp_path, monkeypatch):
    published(monkeypatch, tmp_path / "a.pth", network.state_dict() | {"0.bias": torch.full((4,), torch.nan)})
    with pytest.raises(AssetError, match=r"weights that are not finite numbers: 0\.bias"):
        load_published(network, "any")
