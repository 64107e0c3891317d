from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from cocon.config.schema import FlowExtraction, RcnnParameters
from cocon.errors import CoConError
from view_extractors.base import Resources
from view_extractors.flow.raft import Raft
from view_extractors.mask.torchvision import MaskRcnn
from view_extractors.networks.devices import at_once, torch_device, upload
from view_extractors.networks.openmmlab import import_packages
from view_extractors.pose.torchvision import KeypointRcnn


@pytest.fixture
def threads():
    """The number of threads is set back afterwards."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_the_cpu_is_asked_for_or_all_there_is(threads, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert torch_device(Resources(threads=1, device="cpu")).type == "cpu"
    assert torch_device(Resources(device="auto")).type == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert torch_device(Resources(threads=2, device="auto")).type == "cpu"
    assert torch.get_num_threads() == 2
    with pytest.raises(CoConError, match="no CUDA device") as error:
        torch_device(Resources(device="cuda"))
    assert "cpu" in error.value.hint


def test_pictures_keep_their_pixels():
    pictures = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 3), np.uint8)[:, :, ::-1]
    pixels = upload(pictures, torch.device("cpu"))
    assert pixels.shape == (2, 3, 4, 6)
    np.testing.assert_array_equal(pixels.permute(0, 2, 3, 1).numpy(), pictures)


def test_a_gpu_takes_what_fits_into_half_of_its_free_memory(monkeypatch):
    assert at_once(torch.device("cpu"), 1) == 1
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (700, 1000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 200)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 100)
    assert at_once(torch.device("cuda"), 100) == 4
    assert at_once(torch.device("cuda"), 10_000) == 1


@pytest.mark.parametrize(
    ("missing", "message"),
    [("mmpose", "the package mmpose, which is not installed"), ("mmcv", "which needs the module mmcv")],
)
def test_the_missing_package_of_openmmlab_is_named(missing, message, monkeypatch, tmp_path):
    (tmp_path / "mmpose.py").write_text("import mmcv")
    monkeypatch.syspath_prepend(tmp_path)
    for name in list(sys.modules):
        if name.partition(".")[0] in ("mmpose", "mmcv"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(CoConError, match=f"the backend 'mmpose' needs .*{message}"):
        import_packages()


@pytest.mark.parametrize("backend", ["raft", "torchvision mask", "torchvision pose"])
def test_missing_package_is_named(backend, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    for name in list(sys.modules):
        if name.startswith("torchvision."):
            monkeypatch.delitem(sys.modules, name)
    start = {
        "raft": lambda: Raft(FlowExtraction(backend="raft")).prepare(Resources()),
        "torchvision mask": lambda: MaskRcnn(RcnnParameters(), Resources()),
        "torchvision pose": lambda: KeypointRcnn(RcnnParameters(), Resources()),
    }
    with pytest.raises(CoConError, match="needs the package torchvision") as error:
        start[backend]()
    assert "pip install" in error.value.hint
