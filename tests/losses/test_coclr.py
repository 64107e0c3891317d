from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cocon.config.schema import Loss
from cocon.losses.clip_vectors import ClipQueue
from cocon.losses.coclr import coclr_loss, nearest_clips
from cocon.losses.cocon import CoConLoss
from tests.losses.test_nce import dot

VIEWS = ("rgb", "flow", "mask")
SIZE, FEATURES = 9, 4


def vectors(count: int) -> dict[str, Tensor]:
    return {view: F.normalize(torch.randn(count, FEATURES, dtype=torch.float64), dim=1) for view in VIEWS}


def queue_of(h: dict[str, Tensor], videos: list[int]) -> ClipQueue:
    queue = ClipQueue(VIEWS, FEATURES, SIZE).double()
    queue.add(h, torch.tensor(videos))
    return queue


def reference(
    view: str,
    batch: dict[str, Tensor],
    videos: list[int],
    past: dict[str, Tensor],
    past_videos: list[int],
    temperature: float,
    nearest: int,
) -> float:
    """The multi-instance InfoNCE of Han et al. 2020; one clip and one view at a time."""
    h, old = batch[view].tolist(), past[view].tolist()
    total = 0.0
    for i in range(len(h)):
        positives = {("batch", j) for j in range(len(h)) if j != i and videos[j] == videos[i]}
        positives |= {("queue", j) for j in range(len(old)) if past_videos[j] == videos[i]}
        for other in batch:
            if other != view:
                here, there = batch[other][i].tolist(), past[other].tolist()
                foreign = [j for j in range(len(old)) if past_videos[j] != videos[i]]
                foreign.sort(key=lambda j: -dot(here, there[j]))
                positives |= {("queue", j) for j in foreign[:nearest]}
        every = [("batch", j) for j in range(len(h)) if j != i] + [("queue", j) for j in range(len(old))]
        exps = {
            key: math.exp(dot(h[i], (h if key[0] == "batch" else old)[key[1]]) / temperature) for key in every
        }
        total -= math.log(math.fsum(exps[key] for key in positives) / math.fsum(exps.values()))
    return total / len(h)


@pytest.mark.parametrize("filled", [1, 5, SIZE])
@pytest.mark.parametrize("nearest", [0, 1, 3, 100])
def test_equals_the_slow_reference(nearest: int, filled: int) -> None:
    torch.manual_seed(filled)
    batch, past = vectors(4), vectors(filled)
    videos, past_videos = [7, 7, 8, 8], [n % 5 + 4 for n in range(filled)]  # some of the queue are theirs
    found = coclr_loss(batch, torch.tensor(videos), queue_of(past, past_videos), 0.3, nearest)
    for view in VIEWS:
        expected = reference(view, batch, videos, past, past_videos, 0.3, nearest)
        assert found[view][0].item() == pytest.approx(expected, rel=1e-12)


def outputs() -> dict[str, tuple[Tensor, Tensor]]:
    def unit(blocks: int) -> Tensor:
        return F.normalize(torch.randn(4, blocks, FEATURES, 2, 2, dtype=torch.float64), dim=2)

    return {view: (unit(3), unit(1)) for view in VIEWS}


def test_without_a_past_it_is_nce() -> None:
    batch, videos = outputs(), ["a", "a", "b", "b"]
    settings = Loss(contrast_temperature=0.3)
    nce = CoConLoss(settings, "nce")(batch, videos).terms
    for queue in (None, ClipQueue(VIEWS, FEATURES, SIZE).double()):
        terms = CoConLoss(settings, "coclr", queue)(batch, videos).terms
        for view in VIEWS:
            assert terms[f"coclr/{view}"].item() == pytest.approx(nce[f"nce/{view}"].item(), rel=1e-12)
            assert terms[f"accuracy/{view}"] == nce[f"accuracy/{view}"]


def test_other_views_find_the_positives_and_only_where_they_are_asked() -> None:
    """rgb finds a clip of the queue far, flow finds it the nearest: so rgb is drawn towards it."""
    near, far = torch.tensor([[1.0, 0], [0, 1.0]]).double()
    batch = {"rgb": torch.stack([near, near]), "flow": torch.stack([far, far])}
    past = {"rgb": torch.stack([far, near]), "flow": torch.stack([far, near])}
    queue = ClipQueue(batch, 2, 2).double()
    queue.add(past, torch.tensor([1, 2]))
    for nearest, gained in ((0, 0.0), (1, 1.0)):
        loss, _ = coclr_loss(batch, torch.zeros(2).long(), queue, 1.0, nearest)["rgb"]
        own, found, foreign = math.e, 1.0, math.e  # the other clip, what flow finds, what rgb would find
        expected = -math.log((own + gained * found) / (own + found + foreign))
        assert loss.item() == pytest.approx(expected)
    alone = CoConLoss(Loss(), "coclr", queue)
    z = batch["rgb"][:, None, :, None, None]
    mined = alone({"rgb": (z, z), "flow": (z, z)}, ["a", "a"], keep=False).total
    apart = alone({"rgb": (z, z), "flow": (z, z)}, ["a", "a"], keep=False, mining=False).total
    assert mined < apart


def test_the_queue_keeps_the_newest_and_checkpoints_hold_it() -> None:
    queue = ClipQueue(["rgb"], 1, 5)
    for first in (0, 2, 4):
        clips = torch.arange(first, first + 2)
        queue.add({"rgb": clips[:, None].float().requires_grad_()}, clips)
    assert queue.videos_Q.tolist() == [4, 5, 2, 3, 0]
    assert queue.of("rgb").flatten().tolist() == [4, 5, 2, 3, 0]
    assert not queue.of("rgb").requires_grad
    assert list(queue.parameters()) == []
    again = ClipQueue(["rgb"], 1, 5)
    assert not again.filled().any()
    again.load_state_dict(queue.state_dict())
    assert torch.equal(again.of("rgb"), queue.of("rgb"))
    queue.add({"rgb": torch.zeros(9, 1)}, torch.arange(9))
    assert queue.videos_Q.tolist() == [0, 1, 2, 3, 4]


def test_clips_join_the_queue_after_their_step_and_not_in_validation() -> None:
    queue = ClipQueue(VIEWS, FEATURES, SIZE).double()
    loss, batch = CoConLoss(Loss(), "coclr", queue), outputs()
    loss(batch, ["a", "a", "b", "b"], keep=False)
    assert not queue.filled().any()
    for z, _ in batch.values():
        z.requires_grad_()
    total = loss(batch, ["a", "a", "b", "b"]).total
    assert queue.filled().sum() == 4
    total.backward()  # the queue has changed since
    before = queue.of("rgb").clone()
    loss(outputs(), ["c", "c", "a", "a"])
    assert torch.equal(queue.of("rgb")[4:8], before[:4])
    assert queue.videos_Q[2] == queue.videos_Q[4], "a video has the same number in every batch"


def test_nearest_are_only_among_the_allowed() -> None:
    h = torch.tensor([[1.0, 0]])
    rows = torch.tensor([[1.0, 0], [0.9, 0.1], [0, 1], [-1, 0]])
    allowed = torch.tensor([[False, True, True, False]])
    assert nearest_clips(h, rows, allowed, 1).tolist() == [[False, True, False, False]]
    assert nearest_clips(h, rows, allowed, 3).tolist() == allowed.tolist()
