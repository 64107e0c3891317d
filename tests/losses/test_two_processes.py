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

from cocon.config.schema import PRESETS, Loss
from cocon.losses.cocon import CoConLoss

VIEWS = ("rgb", "flow", "mask")
SIZE, CLIPS, PREDICTED = 2, 2, 2
KINDS: list[dict[str, Any]] = [{}, {"sync": "squared", "sim": "infonce"}, {"margin": 0.5}]
CASES = [(preset, kind) for preset in PRESETS for kind in range(len(KINDS))]


def whole_batch() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    data = {view: random(SIZE * CLIPS, 4, 5, 2, 2) for view in VIEWS}
    weights = {f"{view}/{part}": random(5, 5) for view in VIEWS for part in ("encoder", "predictor")}
    return data, weights


def step(data: dict[str, Tensor], weights: dict[str, Tensor], preset: str, kind: int) -> dict[str, Tensor]:
    """The loss, its terms, and the gradients of all weights (zero where there is none)."""
    leaves = {name: weight.clone().requires_grad_() for name, weight in weights.items()}
    outputs = {}
    for view, x_BNDSS in data.items():
        z = F.normalize(torch.einsum("ed,bndij->bneij", leaves[f"{view}/encoder"], x_BNDSS), dim=2)
        p = torch.einsum("ed,bndij->bneij", leaves[f"{view}/predictor"], z[:, :PREDICTED])
        outputs[view] = (z, F.normalize(p, dim=2))
    result = CoConLoss(Loss(temperature=0.2, **KINDS[kind]), preset)(outputs)
    result.total.backward()
    gradients = {
        f"gradient of {name}": torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
        for name, leaf in leaves.items()
    }
    return {"total": result.total.detach(), **result.terms, **gradients}


def worker(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=SIZE)
    data, weights = whole_batch()
    mine = {view: x[rank * CLIPS : (rank + 1) * CLIPS] for view, x in data.items()}
    torch.save([step(mine, weights, *case) for case in CASES], f"{folder}/{rank}.pt")
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
    expected = step(*whole_batch(), preset, kind)
    results = [rank[CASES.index((preset, kind))] for rank in by_rank]
    for name, value in expected.items():
        torch.testing.assert_close(torch.stack([r[name] for r in results]).mean(0), value, msg=name)
    if preset != "cmc":
        alone = step(
            {view: x[:CLIPS] for view, x in whole_batch()[0].items()}, whole_batch()[1], preset, kind
        )
        assert alone["total"] != pytest.approx(results[0]["total"]), "candidates of the other process count"
