"""What processes of a training tell each other; tests/losses/test_two_processes.py has the losses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from cocon.distributed import (
    alone,
    gather_together,
    gather_with_gradient,
    rank_and_world_size,
    sum_with_gradient,
)
from tests.counting import Collectives

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
    torch.save(result | together(rank), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def parts(rank: int) -> dict[str, torch.Tensor]:
    """Of several shapes and types; one byte in front puts the others at odd places."""
    generator = torch.Generator().manual_seed(rank)
    return {
        "flag": torch.tensor([rank == 1]),
        "half": torch.randn(2, 3, generator=generator).to(torch.bfloat16),
        "wide": torch.randn(3, 1, 2, generator=generator, dtype=torch.float64).transpose(0, 2),
        "numbers": torch.tensor([rank, 2**62 + rank, -rank]),
        "fixed": torch.randn(2, 2, generator=generator),
        "narrow": torch.randn(4, 2, generator=generator),
    }


def together(rank: int) -> dict[str, Any]:
    """All parts in one call; "fixed" needs no gradient, "half" gets none."""
    own = parts(rank)
    for name in ("half", "wide", "narrow"):
        own[name].requires_grad_()
    with Collectives() as counting:
        gathered = gather_together(own)
        (gathered["wide"].square().sum() * (rank + 1) + (gathered["narrow"] * 3).sum()).backward()
    return {
        "together": {name: x.detach() for name, x in gathered.items()},
        "gradients": {name: x.grad for name, x in own.items() if x.grad is not None},
        "calls": dict(counting.calls),
    }


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


def test_several_tensors_are_gathered_in_one_call_and_their_gradients_in_another(results: list[dict]) -> None:
    """The gradient of "wide" is 2 (1 + 2) times itself: both processes send theirs to the owner."""
    everyone = [parts(rank) for rank in range(WORLD_SIZE)]
    for own, result in zip(everyone, results, strict=True):
        assert list(result["together"]) == list(own)
        for name, x in result["together"].items():
            assert torch.equal(x, torch.cat([part[name] for part in everyone])), name
            assert x.dtype is own[name].dtype
        assert result["gradients"].keys() == {"half", "wide", "narrow"}
        assert torch.equal(result["gradients"]["half"], torch.zeros_like(own["half"]))
        torch.testing.assert_close(result["gradients"]["wide"], 6 * own["wide"])
        assert torch.equal(result["gradients"]["narrow"], torch.full((4, 2), 6.0))
        assert result["calls"] == {"_allgather_base_": 1, "_reduce_scatter_base_": 1}


def test_without_processes_it_is_the_tensor_itself() -> None:
    x = torch.randn(3, 2)
    assert gather_with_gradient(x) is x
    assert gather_together({"x": x})["x"] is x
    assert rank_and_world_size() == (0, 1)
