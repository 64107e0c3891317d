"""What processes of a training tell each other; tests/losses/test_two_processes.py has the losses."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from cocon.distributed import alone, gather_with_gradient, rank_and_world_size, sum_with_gradient

WORLD_SIZE = 2


def worker(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=WORLD_SIZE
    )
    x = torch.arange(6.0).view(2, 3).t().add(10 * rank).requires_grad_()
    gathered = gather_with_gradient(x)
    (gathered * torch.arange(12.0).view(6, 2) * (rank + 1)).sum().backward()
    with alone():
        own = gather_with_gradient(x), sum_with_gradient(x)
        assert own[0] is own[1] is x
        assert rank_and_world_size() == (0, 1)
    result = {"gathered": gathered.detach(), "grad": x.grad, "rank": rank_and_world_size()}
    torch.save(result, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    folder: Path = tmp_path_factory.mktemp("gloo")
    mp.spawn(worker, args=(str(folder),), nprocs=WORLD_SIZE)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(WORLD_SIZE)]


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
