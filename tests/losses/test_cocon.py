from __future__ import annotations

import math
from itertools import combinations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cocon.config.schema import Loss
from cocon.errors import ConfigError
from cocon.losses.cocon import CoConLoss
from cocon.losses.cpc import cpc_loss
from cocon.losses.infonce import infonce_loss
from cocon.losses.instances import instance_features
from cocon.losses.sim import sim_loss
from cocon.losses.sync import sync_loss
from cocon.pretrainings import PRESETS, TERMS

SETTINGS = Loss(temperature=0.1, cooperation=7.0, similarity=0.5)
VIDEOS = ["a", "a"]


def outputs(*views: str, batch: int = 2) -> dict[str, tuple[Tensor, Tensor]]:
    def unit(blocks: int) -> Tensor:
        return F.normalize(torch.randn(batch, blocks, 6, 2, 2, dtype=torch.float64), dim=2)

    return {view: (unit(5), unit(2)) for view in views}


def dot(a: list[float], b: list[float]) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def nce(anchors: list[list[float]], others: list[list[float]], temperature: float) -> float:
    """Mean over i of -log(exp(s_ii) / sum over j of exp(s_ij))."""
    total = 0.0
    for i, anchor in enumerate(anchors):
        scores = [dot(anchor, other) / temperature for other in others]
        total -= scores[i] - math.log(math.fsum(math.exp(score) for score in scores))
    return total / len(anchors)


def rows(x_BPDSS: Tensor) -> list[list[float]]:
    batch, blocks, _, height, width = x_BPDSS.shape
    return [
        x_BPDSS[b, k, :, i, j].tolist()
        for b in range(batch)
        for k in range(blocks)
        for i in range(height)
        for j in range(width)
    ]


def instances(z_BNDSS: Tensor) -> list[list[float]]:
    """2 x 2 locations are averaged, then every block has unit length."""
    found = []
    for clip in z_BNDSS.tolist():
        for block in clip:
            mean = [(m[0][0] + m[0][1] + m[1][0] + m[1][1]) / 4 for m in block]
            length = math.sqrt(dot(mean, mean))
            found.append([value / length for value in mean])
    return found


def reference(batch: dict[str, tuple[Tensor, Tensor]], settings: Loss, preset: str) -> float:
    """The loss of the paper in plain Python: one number at a time."""
    total = 0.0
    if preset in ("cpc", "cpc_sync", "cpc_sim", "cocon", "cocon_nce"):
        total += sum(nce(rows(p), rows(z[:, 3:]), settings.temperature) for z, p in batch.values())
    h = {view: instances(z) for view, (z, _) in batch.items()}
    for a, b in combinations(h.values(), 2):
        every = [(i, j) for i in range(len(a)) for j in range(len(a))]
        contrast = 0.5 * sum(nce(*pair, settings.contrast_temperature) for pair in ((a, b), (b, a)))
        sync = sim = 0.0
        for i, j in every:
            difference = abs(dot(a[i], a[j]) - dot(b[i], b[j]))
            sync += (difference if settings.sync == "l1" else difference**2) / len(every)
            distance = 1 - dot(a[i], b[j])
            if i == j:
                sim += 0.5 * distance / len(a)
            else:
                sim += 0.5 * max(0.0, settings.margin - distance) / (len(every) - len(a))
        if settings.sim == "infonce" or preset == "cocon_nce":
            sim = contrast
        if preset in ("cpc_sync", "cocon", "cocon_nce", "cmc_sync"):
            total += settings.cooperation * sync
        if preset in ("cpc_sim", "cocon", "cocon_nce"):
            total += settings.cooperation * settings.similarity * sim
        if preset in ("cmc", "cmc_sync"):
            total += contrast
    return total


#: see test_nce.py and test_coclr.py
OF_CLIPS = ("nce", "coclr")
KINDS = [{}, {"sync": "squared"}, {"sim": "infonce", "contrast_temperature": 0.3}, {"margin": 0.6}]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("preset", [name for name in PRESETS if name not in OF_CLIPS])
def test_equals_the_slow_reference(preset: str, kind: dict[str, object]) -> None:
    torch.manual_seed(0)
    batch = outputs("rgb", "flow", "mask")
    settings = SETTINGS.model_copy(update=kind)
    total = CoConLoss(settings, preset)(batch).total
    assert total.item() == pytest.approx(reference(batch, settings, preset), rel=1e-12)


@pytest.mark.parametrize("preset", list(PRESETS))
def test_total_is_the_weighted_sum_of_the_terms(preset: str) -> None:
    torch.manual_seed(0)
    batch = outputs("rgb", "flow", "mask")
    result = CoConLoss(SETTINGS, preset)(batch, VIDEOS)
    weights = {"cpc": 1, "cmc": 1, "nce": 1, "coclr": 1, "sync": 7, "sim": 7 * 0.5, "accuracy": 0}
    expected = sum(weights[name.split("/")[0]] * value for name, value in result.terms.items())
    assert {name.split("/")[0] for name in result.terms} - {"accuracy"} == set(PRESETS[preset].terms)
    torch.testing.assert_close(result.total, expected)


@pytest.mark.parametrize("preset", list(PRESETS))
def test_gradients_are_those_of_finite_differences(preset: str) -> None:
    torch.manual_seed(0)
    batch = outputs("rgb", "mask", batch=4)
    loss = CoConLoss(SETTINGS.model_copy(update={"temperature": 0.5, "sync": "squared"}), preset)

    def total(rgb_z: Tensor, rgb_p: Tensor, mask_z: Tensor, mask_p: Tensor) -> Tensor:
        return loss({"rgb": (rgb_z, rgb_p), "mask": (mask_z, mask_p)}, ["a", "a", "b", "b"]).total

    leaves = [x.requires_grad_() for pair in batch.values() for x in pair]
    direction = [torch.randn_like(x) for x in leaves]
    gradients = torch.autograd.grad(total(*leaves), leaves, allow_unused=True)
    slope = sum((g * d).sum() for g, d in zip(gradients, direction, strict=True) if g is not None)
    ahead, behind = (
        total(*(x + step * d for x, d in zip(leaves, direction, strict=True))) for step in (1e-6, -1e-6)
    )
    torch.testing.assert_close(slope, (ahead - behind).detach() / 2e-6, rtol=1e-6, atol=1e-8)


def test_collapsed_networks_are_at_chance_and_only_sync_is_content() -> None:
    """All features alike, in every view: L_sync cannot tell, which is why it needs the other terms."""
    alike = F.normalize(torch.ones(2, 5, 6, 2, 2, dtype=torch.float64), dim=2)
    batch = dict.fromkeys(("rgb", "flow"), (alike, alike[:, :2]))
    terms = CoConLoss(SETTINGS, "cocon")(batch).terms
    contrast = CoConLoss(SETTINGS, "cmc")(batch).terms["cmc/rgb-flow"]
    assert terms["sync/rgb-flow"].item() == pytest.approx(0, abs=1e-15)
    assert terms["sim/rgb-flow"].item() == pytest.approx(0.5)
    assert terms["cpc/rgb"].item() == pytest.approx(math.log(2 * 2 * 2 * 2))
    assert contrast.item() == pytest.approx(math.log(2 * 5))


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


@pytest.mark.parametrize("preset", [name for name in PRESETS if PRESETS[name].predicts])
def test_one_view_has_no_pair_terms(preset: str) -> None:
    batch = outputs("pose")
    result = CoConLoss(SETTINGS, preset)(batch)
    assert list(result.terms) == ["cpc/pose", "accuracy/pose"]
    z, p = batch["pose"]
    assert result.total.item() == pytest.approx(cpc_loss(p, z[:, 3:], 0.1)[0].item())


def test_kind_of_sync_is_taken_from_the_settings() -> None:
    batch = outputs("rgb", "flow")
    h = [instance_features(z) for z, _ in batch.values()]
    squared = CoConLoss(Loss(sync="squared"), "cpc_sync")(batch).terms["sync/rgb-flow"]
    assert squared.item() == pytest.approx(sync_loss(h[0], h[1], "squared").item())


def test_kind_of_similarity_is_taken_from_the_settings() -> None:
    batch = outputs("rgb", "flow")
    h = [instance_features(z) for z, _ in batch.values()]
    for settings, expected in (
        (Loss(sim="infonce", contrast_temperature=0.2), infonce_loss(*h, 0.2)),
        (Loss(margin=0.5), sim_loss(*h, 0.5)),
    ):
        assert CoConLoss(settings, "cpc_sim")(batch).terms["sim/rgb-flow"].item() == expected.item()


def test_cmc_compares_views_and_predicts_nothing() -> None:
    batch = outputs("rgb", "flow")
    leaves = {view: [x.requires_grad_() for x in pair] for view, pair in batch.items()}
    loss = CoConLoss(SETTINGS, "cmc")
    result = loss(batch)
    result.total.backward()
    assert list(result.terms) == ["cmc/rgb-flow"]
    assert all(z.grad is not None and p.grad is None for z, p in leaves.values())
    assert not loss.predicts


@pytest.mark.parametrize(
    "preset", [name for name in PRESETS if all(TERMS[term].between_views for term in PRESETS[name].terms)]
)
def test_what_only_compares_views_needs_two(preset: str) -> None:
    with pytest.raises(ConfigError, match=f"'{preset}' compares views"):
        CoConLoss(SETTINGS, preset)(outputs("rgb"), VIDEOS)


def test_cocon_nce_is_cocon_with_infonce_whatever_the_kind() -> None:
    batch = outputs("rgb", "flow", "mask")
    fixed = CoConLoss(SETTINGS, "cocon_nce")(batch)
    chosen = CoConLoss(SETTINGS.model_copy(update={"sim": "infonce"}), "cocon")(batch)
    assert fixed.total.item() == chosen.total.item()
    assert fixed.terms == chosen.terms


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
