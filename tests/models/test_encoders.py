"""The contract of :mod:`cocon.encoders`, for every encoder."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from cocon.config.schema import EncoderName, Network
from cocon.encoders import ENCODERS, SHAPE
from cocon.models.encoder import EncoderNetwork, build_encoder, encoder_class
from cocon.models.layers import StridedPointwise
from cocon.models.network import ViewNetwork, build_network

SMALL = {
    "resnet2d3d": Network(layers=(1, 1, 1, 1), width=4, features=8),
    "r2plus1d_18": Network(encoder="r2plus1d_18", width=4, features=8),
    "s3d": Network(encoder="s3d", width=8, features=8),
}
every_encoder = pytest.mark.parametrize("name", ENCODERS)


def test_the_schema_knows_every_encoder() -> None:
    assert get_args(EncoderName) == tuple(ENCODERS) == tuple(SMALL)
    assert Network().encoder == next(iter(ENCODERS))
    assert all(set(entry.reads) <= set(SHAPE) for entry in ENCODERS.values())


@every_encoder
@pytest.mark.parametrize("frames", [1, 2, 4, 5, 9])
def test_any_number_of_frames(name: str, frames: int) -> None:
    assert build_encoder(2, SMALL[name])(torch.randn(2, 2, frames, 32, 32)).shape[:2] == (2, 8)


@every_encoder
@pytest.mark.parametrize("pixels", [1, 17, 32, 33, 44, 64, 128])
def test_any_size_of_frames(name: str, pixels: int) -> None:
    size = ENCODERS[name].locations(pixels)
    assert size >= 1
    assert build_encoder(1, SMALL[name])(torch.randn(2, 1, 2, pixels, pixels)).shape == (2, 8, size, size)


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("resnet2d3d", {32: 1, 44: 2, 64: 2, 128: 4, 224: 7}),
        ("r2plus1d_18", {32: 2, 44: 3, 64: 4, 128: 8, 224: 14}),
        ("s3d", {32: 1, 44: 2, 64: 2, 128: 4, 224: 7}),
    ],
)
def test_locations(name: str, sizes: dict[int, int]) -> None:
    assert {pixels: ENCODERS[name].locations(pixels) for pixels in sizes} == sizes


@every_encoder
def test_the_output_may_be_negative_and_is_not_normalised(name: str) -> None:
    torch.manual_seed(0)
    output = build_encoder(3, SMALL[name])(torch.randn(4, 3, 5, 64, 64))
    assert 0.2 < (output < 0).float().mean() < 0.8
    assert output.norm(dim=1).std() > 0.1


@every_encoder
def test_every_parameter_gets_a_gradient(name: str) -> None:
    network = ViewNetwork(3, SMALL[name])
    _, p = network(torch.randn(2, 4, 3, 5, 48, 48), predicted=2)
    (p * torch.randn_like(p)).sum().backward()
    without = [key for key, q in network.named_parameters() if q.grad is None or not q.grad.abs().sum() > 0]
    assert without == []


@every_encoder
def test_memory_order_of_the_input_does_not_change_the_output(name: str) -> None:
    network = build_encoder(3, SMALL[name]).double()
    x = torch.randn(2, 3, 5, 32, 32, dtype=torch.float64)
    torch.testing.assert_close(network(x.contiguous(memory_format=torch.channels_last_3d)), network(x))


@every_encoder
def test_evaluation_uses_running_statistics(name: str) -> None:
    network = build_encoder(3, SMALL[name])
    for _ in range(3):
        network(torch.randn(4, 3, 5, 32, 32) + 1)
    network.eval()
    x = torch.randn(3, 3, 5, 32, 32) + 1
    torch.testing.assert_close(network(x)[:1], network(x[:1]), rtol=1e-3, atol=1e-4)


@every_encoder
def test_a_batch_of_one_clip_and_one_location(name: str) -> None:
    z, _ = ViewNetwork(1, SMALL[name])(torch.randn(1, 2, 1, 1, 16, 16), predicted=1)
    assert z.shape == (1, 2, 8, 1, 1)
    assert z.isfinite().all()


@every_encoder
def test_rejects_input_of_another_shape(name: str) -> None:
    for shape in [(2, 3, 32, 32), (2, 2, 5, 32, 32)]:
        with pytest.raises(ValueError, match=r"expected \(F, 3, K, H, W\)"):
            build_encoder(3, SMALL[name])(torch.zeros(shape))


@every_encoder
@pytest.mark.parametrize("shape", [{}, {"width": 4, "features": 8}, {"width": 3, "features": 300}])
def test_the_lower_bound_of_the_weights(name: str, shape: dict[str, int]) -> None:
    network = Network(encoder=name, **shape)
    bound = encoder_class(name).fewest_weights(network)
    count = sum(p.numel() for p in build_encoder(1, network).parameters())
    assert 0 < bound <= count
    for key in ("width", "features"):
        larger = network.model_copy(update={key: 10**6})
        assert encoder_class(name).fewest_weights(larger) > 10**10


@every_encoder
def test_runs_under_autocast(name: str) -> None:
    network = ViewNetwork(3, SMALL[name])
    with torch.autocast("cpu", torch.bfloat16):
        z, p = network(torch.randn(2, 3, 3, 5, 32, 32), predicted=1)
    (p.float() * z[:, 2:].float()).sum().backward()
    assert all(torch.isfinite(q.grad).all() for q in network.parameters() if q.grad is not None)


@every_encoder
def test_no_pointwise_convolution_is_torchs(name: str) -> None:
    """Its weight gradient with stride 2 writes outside its memory: see StridedPointwise."""
    encoder = build_encoder(3, SMALL[name])
    kernels = [m.kernel_size for m in encoder.modules() if isinstance(m, torch.nn.modules.conv._ConvNd)]
    assert all(max(kernel) > 1 for kernel in kernels)
    assert any(isinstance(module, StridedPointwise) for module in encoder.modules())


@every_encoder
def test_same_seed_same_encoder(name: str) -> None:
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        states.append(build_network("flow", SMALL[name]).state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_views_may_have_other_encoders() -> None:
    settings = Network(width=8, features=16, views={"rgb": {"encoder": "s3d"}, "mask": {"width": 4}})
    kinds = {view: build_network(view, settings).encoder for view in ("rgb", "flow", "mask")}
    assert all(isinstance(encoder, EncoderNetwork) for encoder in kinds.values())
    assert [type(encoder).__name__ for encoder in kinds.values()] == ["S3d", "ResNet2d3d", "ResNet2d3d"]
    assert {encoder.features for encoder in kinds.values()} == {16}


@pytest.mark.parametrize(
    ("network", "title"),
    [
        (Network(), "2D3D-ResNet-18"),
        (Network(layers=(3, 4, 6, 3)), "2D3D-ResNet-34"),
        (Network(layers=(1, 1, 1, 1)), "2D3D-ResNet 1-1-1-1"),
        (Network(encoder="r2plus1d_18"), "R(2+1)D-18"),
        (Network(encoder="s3d", width=32), "S3D"),
        (Network(layers=(1, 1, 1, 1), views={"rgb": {"encoder": "s3d"}}).of("rgb"), "S3D"),
    ],
)
def test_titles(network: Network, title: str) -> None:
    assert network.title == title
