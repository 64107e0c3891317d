"""Compiled training steps, without the code that torch.compile generates: that takes minutes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch._dynamo.utils import counters
from torch.nn.parallel import DistributedDataParallel

from cocon.config.schema import Network
from cocon.training.context import RunContext
from cocon.training.devices import World
from cocon.training.log import Reporter
from cocon.training.loggers import Loggers
from cocon.training.loop import Loop
from cocon.training.state import RunState
from cocon.views import VIEWS as ALL
from tests.training.test_host_waits import finetuning, pretraining

VIEWS = ("rgb", "flow")
SHAPES: dict[str, dict[str, Any]] = {"resnet2d3d": {"layers": (1, 1, 1, 1)}, "r2plus1d_18": {}, "s3d": {}}


@pytest.fixture(autouse=True)
def only_traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Graphs are made, and run operator by operator; more of them than the limit are an error."""
    monkeypatch.setattr(nn.Module, "compile", partialmethod(nn.Module.compile, backend="aot_eager"))
    torch._dynamo.reset()
    counters.clear()
    with torch._dynamo.config.patch(recompile_limit=8, fail_on_recompile_limit_hit=True):
        yield
    torch._dynamo.reset()
    torch.compiler.set_stance("default")


def made() -> int:
    """The graphs so far."""
    return int(counters["stats"]["unique_graphs"])


@pytest.fixture
def context(tmp_path: Path) -> RunContext:
    reporter = Reporter("test", silent=True)
    return RunContext(
        World(torch.device("cpu")), 0, RunState(tmp_path / "state", {}), reporter, Loggers(None)
    )


def steps(trainer: Loop[Any], count: int = 2) -> list[float]:
    trainer.model.train()
    batch = next(iter(trainer.loader))
    return [trainer.train_step([batch]).read()["loss"] for _ in range(count)]


def network(encoder: str) -> Network:
    return Network(encoder=encoder, width=8, features=16, dropout=0.0, **SHAPES[encoder])


@pytest.mark.parametrize("encoder", SHAPES)
def test_every_view_is_compiled_once_and_losses_stay(context: RunContext, encoder: str) -> None:
    shape = network(encoder)
    plain = steps(pretraining(context, "cocon", 4, VIEWS, shape))
    assert made() == 0
    trainer = pretraining(context, "cocon", 4, VIEWS, shape, compile=True)
    found = steps(trainer)
    assert found[0] == pytest.approx(plain[0], rel=1e-4)
    assert found == pytest.approx(plain, rel=1e-2)  # Adam's first steps enlarge any rounding
    assert made() == len(VIEWS)
    assert sum(counters["graph_break"].values()) == 0


def test_evaluation_is_not_compiled_and_names_stay(context: RunContext) -> None:
    trainer = pretraining(context, "cocon", 4, VIEWS, network("resnet2d3d"), compile=True)
    names = list(trainer.module.state_dict())
    steps(trainer, 2)
    before = made()
    trainer.model.eval()
    with torch.no_grad():
        for batch in range(1, 3):
            trainer.model({view: torch.rand(batch, 4, ALL[view].channels, 2, 32, 32) for view in VIEWS})
    assert made() == before
    assert list(trainer.module.state_dict()) == names
    assert not [name for name in names if "_orig_mod" in name]
    assert steps(trainer, 1)
    assert made() == before


def test_the_layout_of_weights_stays(context: RunContext) -> None:
    settings = {"channels_last_3d": True, "clip_gradient": 1.0}
    shape = network("resnet2d3d")
    plain = steps(pretraining(context, "cocon", 4, VIEWS, shape, **settings), 2)
    trainer = pretraining(context, "cocon", 4, VIEWS, shape, compile=True, **settings)
    assert steps(trainer, 2) == pytest.approx(plain, rel=1e-3)
    weights = [p for p in trainer.parameters if p.dim() == 5]
    assert all(p.is_contiguous(memory_format=torch.channels_last_3d) for p in weights)


def test_under_ddp_losses_and_graphs_are_the_same(context: RunContext) -> None:
    shape = network("resnet2d3d")
    plain = steps(pretraining(context, "cocon", 4, VIEWS, shape))
    trainer = pretraining(context, "cocon", 4, VIEWS, shape, compile=True)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        trainer.model = DistributedDataParallel(
            trainer.module, gradient_as_bucket_view=True, static_graph=True
        )
        found = steps(trainer)
    finally:
        dist.destroy_process_group()
    assert found == pytest.approx(plain, rel=1e-2)
    assert made() == len(VIEWS)


@pytest.mark.parametrize("frozen", [False, True])
def test_fine_tuning(context: RunContext, frozen: bool) -> None:
    def losses(**settings: Any) -> list[float]:
        torch.manual_seed(0)  # of the new layer
        trainer = finetuning(context, 8, dropout=0.0, backbone_rate=0.0 if frozen else 1.0, **settings)
        trainer.classifier.frozen = frozen
        trainer.classifier.dropout.p = trainer.classifier.aggregator.dropout = 0.0
        return steps(trainer, 2)

    plain = losses()
    assert losses(compile=True) == pytest.approx(plain, rel=1e-3)
    assert made() == 1
