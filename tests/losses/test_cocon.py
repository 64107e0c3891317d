from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cocon.config.schema import Loss
from cocon.errors import ConfigError
from cocon.losses.cocon import PRESETS, CoConLoss
from cocon.losses.cpc import cpc_loss
from cocon.losses.instances import instance_features
from cocon.losses.sim import sim_loss
from cocon.losses.sync import sync_loss

SETTINGS = Loss(temperature=0.1, cooperation=7.0, similarity=0.5)


def outputs(*views: str, batch: int = 2) -> dict[str, tuple[Tensor, Tensor]]:
    def unit(blocks: int) -> Tensor:
        return F.normalize(torch.randn(batch, blocks, 6, 2, 2, dtype=torch.float64), dim=2)

    return {view: (unit(5), unit(2)) for view in views}


@pytest.mark.parametrize("preset", list(PRESETS))
def test_total_is_the_weighted_sum_of_the_terms(preset: str) -> None:
    torch.manual_seed(0)
    batch = outputs("rgb", "flow", "mask")
    result = CoConLoss(SETTINGS, preset)(batch)
    h = {view: instance_features(z) for view, (z, _) in batch.items()}
    pairs = [("rgb", "flow"), ("rgb", "mask"), ("flow", "mask")]
    expected = sum(cpc_loss(p, z[:, 3:], 0.1)[0] for z, p in batch.values())
    if preset in ("cpc_sync", "cocon"):
        expected += 7 * sum(sync_loss(h[a], h[b], "l1") for a, b in pairs)
    if preset in ("cpc_sim", "cocon"):
        expected += 7 * 0.5 * sum(sim_loss(h[a], h[b]) for a, b in pairs)
    torch.testing.assert_close(result.total, expected)


def test_terms_have_names_and_no_gradient() -> None:
    batch = outputs("rgb", "flow")
    for z, p in batch.values():
        z.requires_grad_()
        p.requires_grad_()
    result = CoConLoss(SETTINGS, "cocon")(batch)
    assert list(result.terms) == [
        "cpc/rgb",
        "accuracy/rgb",
        "cpc/flow",
        "accuracy/flow",
        "sync/rgb-flow",
        "sim/rgb-flow",
    ]
    assert result.total.requires_grad
    assert not any(term.requires_grad for term in result.terms.values())


def test_order_of_the_views_does_not_change_a_bit() -> None:
    batch = outputs("rgb", "flow", "mask", "pose")
    loss = CoConLoss(SETTINGS, "cocon")
    first, second = loss(batch), loss(dict(reversed(batch.items())))
    assert first.total.item() == second.total.item()
    assert list(first.terms) == list(second.terms)


@pytest.mark.parametrize("preset", list(PRESETS))
def test_one_view_has_no_pair_terms(preset: str) -> None:
    batch = outputs("pose")
    result = CoConLoss(SETTINGS, preset)(batch)
    assert list(result.terms) == ["cpc/pose", "accuracy/pose"]
    z, p = batch["pose"]
    assert result.total.item() == pytest.approx(cpc_loss(p, z[:, 3:], 0.1)[0].item())


def test_kind_of_sync_is_taken_from_the_settings() -> None:
    batch = outputs("rgb", "flow")
    h = [instance_features(z) for z, _ in batch.values()]
    squared = CoConLoss(Loss(sync="l2"), "cpc_sync")(batch).terms["sync/rgb-flow"]
    assert squared.item() == pytest.approx(sync_loss(h[0], h[1], "l2").item())


def test_gradient_reaches_every_view() -> None:
    batch = outputs("rgb", "flow", "mask")
    leaves = [x.requires_grad_() for pair in batch.values() for x in pair]
    CoConLoss(SETTINGS, "cocon")(batch).total.backward()
    assert all(leaf.grad is not None and leaf.grad.abs().sum() > 0 for leaf in leaves)


def test_half_precision_is_raised_even_under_autocast() -> None:
    batch = {view: (z.bfloat16(), p.bfloat16()) for view, (z, p) in outputs("rgb", "flow").items()}
    loss = CoConLoss(SETTINGS, "cocon")
    with torch.autocast("cpu", torch.bfloat16):
        low = loss(batch)
    exact = loss({view: (z.float(), p.float()) for view, (z, p) in batch.items()})
    assert low.total.dtype == torch.float32
    assert low.total.item() == exact.total.item()


def test_rejects_no_views_and_views_of_different_batches() -> None:
    loss = CoConLoss(SETTINGS, "cocon")
    with pytest.raises(ValueError, match="at least one view"):
        loss({})
    with pytest.raises(ValueError, match="same M"):
        loss(outputs("rgb") | outputs("flow", batch=3))


def test_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="cpc_sync"):
        CoConLoss(SETTINGS, "cocoon")
