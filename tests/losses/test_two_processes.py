"""Two processes with half the batch each must do what one process with the whole batch does.

Every preset and every kind of its terms, through a linear encoder and predictor per view, in float64.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F
from torch import Tensor

from cocon.config.schema import Loss
from cocon.distributed import alone
from cocon.losses.clip_vectors import ClipQueue
from cocon.losses.cocon import CoConLoss
from cocon.pretrainings import PRESETS
from tests.counting import Collectives

VIEWS = ("rgb", "flow", "mask")
SIZE, CLIPS, PREDICTED = 2, 2, 2
VIDEOS = ["a", "a", "b", "b"]
KINDS: list[dict[str, Any]] = [{}, {"sync": "squared", "sim": "infonce"}, {"margin": 0.5}]
CASES = [(preset, kind) for preset in PRESETS for kind in range(len(KINDS))]


def whole_batch() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    data = {view: random(SIZE * CLIPS, 4, 5, 2, 2) for view in VIEWS}
    weights = {f"{view}/{part}": random(5, 5) for view in VIEWS for part in ("encoder", "predictor")}
    return data, weights


def past() -> ClipQueue:
    """A queue of 7 places with 5 clips that are in no batch."""
    generator = torch.Generator().manual_seed(1)
    queue = ClipQueue(VIEWS, 5, 7).double()
    h = {view: F.normalize(torch.randn(5, 5, generator=generator, dtype=torch.float64)) for view in VIEWS}
    with alone():
        queue.add(h, torch.arange(5))
    return queue


def step(
    data: dict[str, Tensor], weights: dict[str, Tensor], videos: list[str], preset: str, kind: int
) -> dict[str, Tensor]:
    """The loss, its terms, the gradients of all weights (zero where there is none), the queue then, and how
    often other processes are called.
    """
    leaves = {name: weight.clone().requires_grad_() for name, weight in weights.items()}
    outputs = {}
    for view, x_BNDSS in data.items():
        z = F.normalize(torch.einsum("ed,bndij->bneij", leaves[f"{view}/encoder"], x_BNDSS), dim=2)
        p = torch.einsum("ed,bndij->bneij", leaves[f"{view}/predictor"], z[:, :PREDICTED])
        outputs[view] = (z, F.normalize(p, dim=2))
    queue, settings = past(), Loss(temperature=0.2, nearest=2, **KINDS[kind])
    with Collectives() as counting:
        result = CoConLoss(settings, preset, queue)(outputs, videos)
        result.total.backward()
    calls = {f"calls of {name}": torch.tensor(count) for name, count in counting.calls.items()}
    gradients = {
        f"gradient of {name}": torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
        for name, leaf in leaves.items()
    }
    return {"total": result.total.detach(), **result.terms, **gradients, **queue.state_dict(), **calls}


def worker(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=SIZE)
    data, weights = whole_batch()
    mine = {view: x[rank * CLIPS : (rank + 1) * CLIPS] for view, x in data.items()}
    videos = VIDEOS[rank * CLIPS : (rank + 1) * CLIPS]
    torch.save([step(mine, weights, videos, *case) for case in CASES], f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def by_rank(tmp_path_factory: pytest.TempPathFactory) -> list[list[dict[str, Tensor]]]:
    folder: Path = tmp_path_factory.mktemp("gloo")
    mp.spawn(worker, args=(str(folder),), nprocs=SIZE)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(SIZE)]


@pytest.mark.parametrize(("preset", "kind"), CASES)
def test_mean_of_loss_and_gradients_is_that_of_the_whole_batch(
    by_rank: list[list[dict[str, Tensor]]], preset: str, kind: int
) -> None:
    data, weights = whole_batch()
    expected = step(data, weights, VIDEOS, preset, kind)
    results = [rank[CASES.index((preset, kind))] for rank in by_rank]
    for name, value in expected.items():
        both = torch.stack([r[name] for r in results])
        if value.is_floating_point():
            torch.testing.assert_close(both.mean(0), value, msg=name)
        else:
            assert torch.equal(both, value.expand_as(both)), name
    if preset != "cmc":
        half = {view: x[:CLIPS] for view, x in data.items()}
        alone_ = step(half, weights, VIDEOS[:CLIPS], preset, kind)
        assert alone_["total"] != pytest.approx(results[0]["total"]), "candidates of the other process count"


@pytest.mark.parametrize(("preset", "kind"), CASES)
def test_all_rows_are_gathered_in_one_call_and_their_gradients_reduced_in_another(
    by_rank: list[list[dict[str, Tensor]]], preset: str, kind: int
) -> None:
    for rank in by_rank:
        found = rank[CASES.index((preset, kind))]
        calls = {name: int(count) for name, count in found.items() if name.startswith("calls of ")}
        assert calls == {"calls of _allgather_base_": 1, "calls of _reduce_scatter_base_": 1}
