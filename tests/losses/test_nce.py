from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cocon.config.schema import Loss
from cocon.losses.clip_vectors import clip_features
from cocon.losses.cocon import CoConLoss
from cocon.losses.nce import nce_loss

SETTINGS = Loss(contrast_temperature=0.3)
VIDEOS = ["a", "b", "a", "b", "c", "c"]


def outputs(*views: str) -> dict[str, tuple[Tensor, Tensor]]:
    def unit(blocks: int) -> Tensor:
        return F.normalize(torch.randn(len(VIDEOS), blocks, 4, 2, 2, dtype=torch.float64), dim=2)

    return {view: (unit(3), unit(1)) for view in views}


def dot(a: list[float], b: list[float]) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def unit(vector: list[float]) -> list[float]:
    length = math.sqrt(dot(vector, vector))
    return [value / length for value in vector]


def clip_vectors(z_BNDSS: Tensor) -> list[list[float]]:
    """Blocks are averaged over 2 x 2 locations and get unit length; then clips over blocks, likewise."""
    found = []
    for clip in z_BNDSS.tolist():
        blocks = [unit([(m[0][0] + m[0][1] + m[1][0] + m[1][1]) / 4 for m in block]) for block in clip]
        found.append(unit([sum(values) / len(values) for values in zip(*blocks, strict=True)]))
    return found


def reference(h: list[list[float]], videos: list[str], temperature: float) -> float:
    """Chen et al. 2020, equation 1, one number at a time."""
    total = 0.0
    for i in range(len(h)):
        exps = {j: math.exp(dot(h[i], h[j]) / temperature) for j in range(len(h)) if j != i}
        (partner,) = [j for j in exps if videos[j] == videos[i]]
        total -= math.log(exps[partner] / math.fsum(exps.values()))
    return total / len(h)


def test_equals_the_slow_reference() -> None:
    torch.manual_seed(0)
    batch = outputs("rgb", "flow", "mask")
    result = CoConLoss(SETTINGS, "nce")(batch, VIDEOS)
    for view, (z, _) in batch.items():
        expected = reference(clip_vectors(z), VIDEOS, 0.3)
        assert result.terms[f"nce/{view}"].item() == pytest.approx(expected, rel=1e-12)
    assert result.total.item() == pytest.approx(
        sum(result.terms[f"nce/{view}"].item() for view in batch), rel=1e-12
    )


def test_views_do_not_see_each_other_and_nothing_is_predicted() -> None:
    batch = outputs("rgb", "flow")
    together = CoConLoss(SETTINGS, "nce")(batch, VIDEOS)
    alone = CoConLoss(SETTINGS, "nce")({"rgb": batch["rgb"]}, VIDEOS)
    assert alone.terms["nce/rgb"].item() == together.terms["nce/rgb"].item()
    z, p = (x.requires_grad_() for x in batch["rgb"])
    CoConLoss(SETTINGS, "nce")({"rgb": (z, p)}, VIDEOS).total.backward()
    assert z.grad is not None
    assert p.grad is None


def test_closed_forms() -> None:
    """Five other clips, one of them of the video: chance when all are alike, nearly 0 when videos differ."""
    videos_B = torch.tensor([0, 0, 1, 1, 2, 2])
    alike = torch.ones(6, 1, dtype=torch.float64)
    loss, _ = nce_loss(alike, videos_B, 0.07)
    assert loss.item() == pytest.approx(math.log(5))
    apart = torch.eye(3, dtype=torch.float64).repeat_interleave(2, 0)
    loss, accuracy = nce_loss(apart, videos_B, 0.5)
    assert loss.item() == pytest.approx(math.log(1 + 4 * math.exp(-2)))
    assert accuracy.item() == 1
    wrong, accuracy = nce_loss(apart, torch.tensor([0, 1, 0, 2, 1, 2]), 0.5)
    assert wrong.item() > loss.item()
    assert accuracy.item() == 0


def test_a_clip_is_the_mean_of_its_blocks() -> None:
    z = torch.zeros(1, 2, 2, 1, 1)
    z[0, 0, 0], z[0, 1, 1] = 3, 1  # blocks count alike, however long their vectors are
    torch.testing.assert_close(clip_features(z), torch.full((1, 2), 0.5**0.5))


@pytest.mark.parametrize("videos", [[], VIDEOS[:4], ["a", "a", "b", "b", "c", "d"]])
def test_every_clip_needs_another_of_its_video(videos: list[str]) -> None:
    with pytest.raises(ValueError, match="two clips or more of each"):
        CoConLoss(SETTINGS, "nce")(outputs("rgb"), videos)


def test_rejects_a_temperature_of_zero() -> None:
    with pytest.raises(ValueError, match="positive"):
        nce_loss(torch.ones(2, 1), torch.zeros(2), 0)
