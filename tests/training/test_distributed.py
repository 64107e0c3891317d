"""Two processes with half the batch each must do what one process with the whole batch does."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F
from torch import Tensor

from cocon.config.schema import Loss
from cocon.losses.cocon import CoConLoss
from cocon.training.distributed import gather_with_gradient, rank_and_world_size

VIEWS = ("rgb", "flow", "mask")
WORLD_SIZE = 2
CLIPS = 2
PREDICTED = 2


def step(data: dict[str, Tensor], weights: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss and gradients of a linear encoder and a linear predictor per view."""
    leaves = {name: weight.clone().requires_grad_() for name, weight in weights.items()}
    outputs = {}
    for view, x_BNDSS in data.items():
        z = F.normalize(torch.einsum("ed,bndij->bneij", leaves[f"{view}/encoder"], x_BNDSS), dim=2)
        p = torch.einsum("ed,bndij->bneij", leaves[f"{view}/predictor"], z[:, :PREDICTED])
        outputs[view] = (z, F.normalize(p, dim=2))
    total = CoConLoss(Loss(temperature=0.2), "cocon")(outputs).total
    gradients = torch.autograd.grad(total, list(leaves.values()))
    return total.detach(), dict(zip(leaves, gradients, strict=True))


def whole_batch() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    data = {view: random(WORLD_SIZE * CLIPS, 4, 5, 2, 2) for view in VIEWS}
    weights = {f"{view}/{part}": random(5, 5) for view in VIEWS for part in ("encoder", "predictor")}
    return data, weights


def worker(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=WORLD_SIZE
    )
    data, weights = whole_batch()
    mine = {view: x[rank * CLIPS : (rank + 1) * CLIPS] for view, x in data.items()}
    total, gradients = step(mine, weights)

    x = torch.arange(6.0).view(2, 3).t().add(10 * rank).requires_grad_()
    gathered = gather_with_gradient(x)
    (gathered * torch.arange(12.0).view(6, 2) * (rank + 1)).sum().backward()

    result = {"total": total, "gathered": gathered.detach(), "grad": x.grad, "rank": rank_and_world_size()}
    torch.save(result | {"gradients": gradients}, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    folder: Path = tmp_path_factory.mktemp("gloo")
    mp.spawn(worker, args=(str(folder),), nprocs=WORLD_SIZE)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(WORLD_SIZE)]


def test_mean_loss_over_processes_is_the_loss_of_the_whole_batch(results: list[dict]) -> None:
    expected, _ = step(*whole_batch())
    torch.testing.assert_close(torch.stack([r["total"] for r in results]).mean(), expected)


def test_averaged_gradients_are_those_of_the_whole_batch(results: list[dict]) -> None:
    _, expected = step(*whole_batch())
    for name, gradient in expected.items():
        averaged = torch.stack([r["gradients"][name] for r in results]).mean(0)
        torch.testing.assert_close(averaged, gradient)
        assert not torch.allclose(results[0]["gradients"][name], gradient)


def test_rows_come_in_rank_order_everywhere(results: list[dict]) -> None:
    first = torch.arange(6.0).view(2, 3).t()
    for rank, result in enumerate(results):
        assert torch.equal(result["gathered"], torch.cat([first, first + 10]))
        assert tuple(result["rank"]) == (rank, WORLD_SIZE)


def test_gradient_of_a_row_is_the_sum_over_processes(results: list[dict]) -> None:
    """Process r weighs the rows by (r + 1) times a table; both send their gradient to the owner."""
    table = torch.arange(12.0).view(6, 2) * (1 + 2)
    assert torch.equal(torch.cat([r["grad"] for r in results]), table)


def test_without_processes_it_is_the_tensor_itself() -> None:
    x = torch.randn(3, 2)
    assert gather_with_gradient(x) is x
    assert rank_and_world_size() == (0, 1)
