from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cocon.config.schema import Network
from cocon.errors import ConfigError
from cocon.models.network import ViewNetwork, build_network
from cocon.views import VIEWS

TINY = Network(layers=(1, 1, 1, 1), width=4, features=8)


def clip(channels: int = 3, pixels: int = 64, blocks: int = 4, batch: int = 2) -> Tensor:
    return torch.randn(batch, blocks, channels, 5, pixels, pixels)


@pytest.mark.parametrize(
    ("view", "expected"),
    [("rgb", 14_583_104), ("flow", 14_579_968), ("pose", 14_627_008), ("mask", 14_576_832)],
)
def test_parameters_of_each_view(view: str, expected: int) -> None:
    assert sum(p.numel() for p in build_network(view, Network()).parameters()) == expected


def test_parameters_of_resnet34() -> None:
    network = build_network("rgb", Network(layers=(3, 4, 6, 3)))
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 2) == 32.95


def test_a_view_may_have_another_network() -> None:
    """ResNet-34 for rgb beside ResNet-18 for the rest, as in the paper's runs at 224 px."""
    settings = Network(views={"rgb": {"layers": (3, 4, 6, 3)}, "mask": {"width": 32}})
    sizes = {view: sum(p.numel() for p in build_network(view, settings).parameters()) for view in VIEWS}
    assert round(sizes["rgb"] / 1e6, 2) == 32.95
    assert (sizes["flow"], sizes["pose"]) == (14_579_968, 14_627_008)
    assert build_network("mask", settings).encoder.stem.conv.out_channels == 32
    assert build_network("rgb", settings).settings == Network(layers=(3, 4, 6, 3))
    assert settings.of("pose") == Network()


@pytest.mark.parametrize(("pixels", "size"), [(64, 2), (128, 4), (224, 7)])
def test_shapes(pixels: int, size: int) -> None:
    network = ViewNetwork(3, TINY)
    z, p = network(clip(pixels=pixels, batch=1), predicted=3)
    assert z.shape == (1, 4, 8, size, size)
    assert p.shape == (1, 3, 8, size, size)
    assert network.context(z).shape == (1, 8, size, size)


def test_features_and_predictions_have_unit_length_everywhere() -> None:
    z, p = ViewNetwork(3, TINY)(clip(), predicted=3)
    for x in (z, p):
        torch.testing.assert_close(x.norm(dim=2), torch.ones_like(x[:, :, 0]))


def test_prediction_follows_the_recurrence_location_by_location() -> None:
    """Context, normalise, predict, feed back, normalise: written out for one location at a time."""
    torch.manual_seed(0)
    network = ViewNetwork(3, TINY).double().eval()
    z, p = network(clip(batch=2, pixels=40).double(), predicted=3)
    for b, i, j in [(0, 0, 1), (1, 1, 0)]:
        state = F.normalize(network.aggregator(z[b, :1, :, i, j][:, None]), dim=1)
        for step in range(3):
            prediction = network.predictor(state)
            torch.testing.assert_close(p[b, step, :, i, j], prediction[0])
            state = F.normalize(network.aggregator(prediction[None], state), dim=1)


def test_context_reads_all_blocks_and_is_not_normalised() -> None:
    network = ViewNetwork(3, TINY).eval()
    z = network.encode(clip())
    context = network.context(z)
    torch.testing.assert_close(context[1, :, 0, 1], network.aggregator(z[1, :, :, 0, 1][:, None])[0])
    assert not torch.allclose(context.norm(dim=1), torch.ones(2, 2, 2), atol=0.05)


def test_predictions_do_not_see_the_predicted_blocks() -> None:
    network = ViewNetwork(3, TINY).eval()
    x = clip()
    changed = x.clone()
    changed[:, 2:] = torch.randn_like(changed[:, 2:])
    torch.testing.assert_close(network(x, 2)[1], network(changed, 2)[1])
    changed[:, 1] += 1
    assert not torch.allclose(network(x, 2)[1], network(changed, 2)[1])


def test_dropout_is_off_in_evaluation() -> None:
    network = ViewNetwork(3, TINY.model_copy(update={"dropout": 0.5}))
    x = clip()
    assert not torch.equal(network(x, 2)[1], network(x, 2)[1])
    network.eval()
    assert torch.equal(network(x, 2)[1], network(x, 2)[1])


def test_every_parameter_gets_a_gradient() -> None:
    network = ViewNetwork(3, TINY)
    _, p = network(clip(), predicted=2)
    (p * torch.randn_like(p)).sum().backward()
    assert all(q.grad is not None and q.grad.abs().sum() > 0 for q in network.parameters())


def test_runs_under_autocast() -> None:
    network = ViewNetwork(3, TINY)
    with torch.autocast("cpu", torch.bfloat16):
        z, p = network(clip(), predicted=2)
    (p.float() * z[:, 2:].float()).sum().backward()
    assert all(torch.isfinite(q.grad).all() for q in network.parameters() if q.grad is not None)


def test_same_seed_same_network() -> None:
    torch.manual_seed(3)
    first = build_network("mask", TINY).state_dict()
    torch.manual_seed(3)
    second = build_network("mask", TINY).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("predicted", [0, 4])
def test_rejects_a_split_without_context_or_prediction(predicted: int) -> None:
    with pytest.raises(ValueError, match="cannot predict"):
        ViewNetwork(3, TINY)(clip(pixels=32), predicted)


def test_rejects_input_without_blocks() -> None:
    with pytest.raises(ValueError, match="B, N, C, K, H, W"):
        ViewNetwork(3, TINY).encode(torch.zeros(2, 3, 5, 32, 32))


def test_unknown_view_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="rgb, flow, mask, pose"):
        build_network("depth", TINY)
