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
from view_extractors.networks.devices import (
    at_once,
    half_precision,
    is_gpu,
    keep_float32,
    placed,
    torch_device,
    upload,
)
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


def test_pictures_may_come_one_by_one():
    pictures = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 3), np.uint8)
    np.testing.assert_array_equal(upload(list(pictures), torch.device("cpu")).permute(0, 2, 3, 1), pictures)


@pytest.mark.filterwarnings("ignore:CUDA is not available")
def test_only_a_gpu_has_half_precision():
    assert is_gpu(torch.device("cuda", 1))
    assert not is_gpu(torch.device("cpu"))
    with half_precision(torch.device("cpu")):
        assert not torch.is_autocast_enabled("cpu")
    assert half_precision(torch.device("cuda")).fast_dtype == torch.float16


class Head(torch.nn.Module):
    """A layer, the last layers of two levels as a list, and a part that takes a list of tensors."""

    class Pooler(torch.nn.Module):
        def forward(self, levels, boxes):
            assert {x.dtype for x in levels} == {torch.float32}
            assert boxes == [{"box": 1}], "everything else stays"
            return levels[0] + levels[1]

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 8, 3)
        self.last = torch.nn.ModuleList(torch.nn.Conv2d(8, 2, 1) for _ in range(2))
        self.other = torch.nn.ModuleList(torch.nn.Conv2d(8, 2, 1) for _ in range(2))
        self.pooler = self.Pooler()

    def forward(self, x):
        x = self.conv(x)
        kept = [last(x) for last in self.last]
        return x, kept, [other(x) for other in self.other], self.pooler(kept, [{"box": 1}])


def test_last_layers_stay_in_float32(as_on_a_gpu):
    torch.manual_seed(0)
    head = Head()
    pictures = torch.rand(2, 3, 9, 9)
    with torch.no_grad():
        _, before, _, _ = head(pictures)
        keep_float32(head, ["last", "pooler"])
        _, after, _, _ = head(pictures)
        for a, b in zip(after, before, strict=True):
            np.testing.assert_array_equal(a, b, "no change on a CPU")
        as_on_a_gpu("float16")
        with half_precision(torch.device("cpu")):
            x, kept, others, pooled = head(pictures)
    assert x.dtype == torch.float16
    assert {y.dtype for y in others} == {torch.float16}
    assert {y.dtype for y in (*kept, pooled)} == {torch.float32}
    # Exact but for the input's own precision.
    exact = torch.nn.functional.conv2d(x.float(), head.last[0].weight, head.last[0].bias)
    np.testing.assert_allclose(kept[0], exact.detach(), atol=1e-6)


def test_a_gpu_has_the_channels_last(as_on_a_gpu):
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3))
    weight = placed(network, torch.device("cpu"))[0].weight
    assert weight.is_contiguous()
    assert not network.training
    as_on_a_gpu("float16")
    weight = placed(network, torch.device("cpu"))[0].weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert not weight.is_contiguous()


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
