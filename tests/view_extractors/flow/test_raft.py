from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torchvision", reason="needs torchvision: make test-backends")
import torch

from cocon.config.schema import FlowExtraction
from cocon.errors import CoConError
from cocon.shards.codecs import decode
from view_extractors.base import Resources
from view_extractors.flow import raft
from view_extractors.flow.base import bytes_to_flow
from view_extractors.flow.raft import Raft, bytes_per_pair, padding

pytestmark = pytest.mark.backends


@pytest.fixture
def no_weights(monkeypatch) -> None:
    """Networks stay as they are initialised, with a seed."""
    torch.manual_seed(0)
    monkeypatch.setattr(raft, "load_weights", lambda network, name: None)


def prepared(size=(130, 150), short_side=None, **options) -> Raft:
    short_side = short_side or min(size)
    settings = {"backend": "raft", "short_side": short_side, "bound": 20, "raft": {"updates": 2, **options}}
    extractor = Raft(FlowExtraction.model_validate(settings))
    extractor.prepare(Resources(threads=1, device="cpu"))
    extractor.start(*size)
    return extractor


@pytest.mark.parametrize("model", ["small", "large"])
def test_flow_per_pixel_and_pair(no_weights, moving, model):
    extractor = prepared(model=model)
    frames = moving(3, 130, 150)
    flow = extractor.flows(np.stack(frames))
    assert flow.shape == (2, 130, 150, 2)
    assert flow.dtype == np.float32
    assert np.isfinite(flow).all()
    stored = [extractor.store(flow) for flow in [*extractor.process(frames), *extractor.finish()]]
    assert len(stored) == 3
    assert np.abs(bytes_to_flow(decode(stored[0], 2), 20) - np.clip(flow[0], -20, 20)).mean() < 0.5


@pytest.mark.parametrize("size", [(8, 8), (37, 200), (128, 129), (1, 300)])
def test_any_size_is_padded_to_what_the_network_takes(no_weights, moving, size):
    assert prepared(size, model="small").flows(np.stack(moving(2, *size))).shape == (1, *size, 2)


@pytest.mark.parametrize("size", [1, 100, 128, 129, 136, 250])
def test_padding_is_least_and_centred(size):
    before, after = padding(size)
    padded = size + before + after
    assert padded % 8 == 0
    assert padded >= 128
    assert padded == 128 or padded < size + 8
    assert after - before in (0, 1)


class Coordinates(torch.nn.Module):
    """In place of RAFT: u is the red of the first picture, v the difference of the greens, as bytes."""

    def forward(self, first, second, updates):
        assert first.shape[-2] % 8 == first.shape[-1] % 8 == 0
        flow = torch.stack([127.5 * (first[:, 0] + 1), 127.5 * (second[:, 1] - first[:, 1])], dim=1)
        return [torch.zeros_like(flow)] * (updates - 1) + [flow]


def test_flow_lands_on_its_own_pixel(no_weights):
    """Padding is taken off again where it was put on; channels and pairs keep their order."""
    extractor = prepared((37, 53))
    extractor._network = Coordinates()
    pictures = np.random.default_rng(0).integers(0, 256, (4, 37, 53, 3), np.uint8)
    flow = extractor.flows(pictures)
    np.testing.assert_allclose(flow[..., 0], pictures[:-1, ..., 0], atol=1e-3)
    greens = pictures[..., 1].astype(float)
    np.testing.assert_allclose(flow[..., 1], greens[1:] - greens[:-1], atol=1e-3)


def test_batches_do_not_matter(no_weights, moving, monkeypatch):
    extractor = prepared(model="small")
    pictures = np.stack(moving(6, 130, 150, step=2))
    one_by_one = extractor.flows(pictures)
    for pairs in (2, 5):
        monkeypatch.setattr(raft, "at_once", lambda device, each, pairs=pairs: pairs)
        np.testing.assert_allclose(extractor.flows(pictures), one_by_one, atol=1e-3)


@pytest.mark.filterwarnings("ignore:.*CUDA is not available")
def test_a_gpu_stores_what_a_cpu_stores(no_weights, moving):
    """With a CPU in the GPU's place: the flow is scaled, clipped and rounded on the device."""
    frames = moving(4, 130, 150, step=2)
    stored = []
    for on_gpu in (False, True):
        torch.manual_seed(0)
        extractor = prepared(model="small", short_side=65)
        extractor._on_gpu = on_gpu
        results = [*extractor.process(frames[:3]), *extractor.process(frames[3:]), *extractor.finish()]
        assert all((result.dtype == np.uint8) == on_gpu for result in results)
        stored.append(np.stack([decode(extractor.store(result), 2) for result in results]).astype(int))
    assert stored[0].shape == (4, 65, 75, 2)
    assert stored[0].std() > 1
    assert np.abs(stored[1] - stored[0]).max() <= 1


def test_every_option_reaches_the_network(no_weights):
    few, many = prepared(model="small", updates=1), prepared(model="small", updates=3)
    seen = []

    def network(first, second, updates):
        seen.append(updates)
        return [torch.zeros(1, 2, *first.shape[-2:])]

    for extractor in (few, many):
        extractor._network.forward = network
        extractor.flows(np.zeros((2, 130, 150, 3), np.uint8))
    assert seen == [1, 3]
    assert few.parameters["weights"].startswith("raft_small")
    assert prepared(model="large").parameters["weights"].startswith("raft_large")


def test_memory_grows_with_the_square_of_the_pixels():
    small, large = bytes_per_pair(256, 344), bytes_per_pair(1080, 1920)
    assert 50e6 < small < 500e6
    assert 8e9 < large < 16e9


def test_gpu_that_is_not_there_is_an_error(no_weights):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(CoConError, match="no CUDA device"):
        Raft(FlowExtraction(backend="raft")).prepare(Resources(device="cuda"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu_in_half_precision_agrees_with_the_cpu(no_weights, moving):
    pictures = np.stack(moving(4, 130, 150))
    on_cpu = prepared(updates=4)
    on_gpu = prepared(updates=4)
    state = on_cpu._network.state_dict()
    on_gpu.prepare(Resources(device="cuda"))
    on_gpu._network.load_state_dict(state)
    expected = on_cpu.flows(pictures)
    assert np.abs(on_gpu.flows(pictures) - expected).mean() < 0.02 * np.abs(expected).mean()
