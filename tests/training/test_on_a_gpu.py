"""What only a GPU does: steps without a wait, and the same training with each switch on and off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from cocon.training.context import RunContext
from cocon.training.devices import World
from cocon.training.log import Reporter
from cocon.training.loggers import Loggers
from cocon.training.state import RunState
from cocon.training.switches import Switches
from tests.training.test_host_waits import NETWORK, TRAINED, finetuning, pretraining

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")]
EXACT = {"amp": "off", "tf32": False}


@pytest.fixture
def context(tmp_path: Path) -> Any:
    state = RunState(tmp_path / "state", {})
    return lambda device: RunContext(
        World(torch.device(device)), 0, state, Reporter("test", silent=True), Loggers(None)
    )


def losses(trainer: Any, steps: int = 2) -> list[float]:
    trainer.model.train()
    loaded = iter(trainer.loader)
    return [trainer.train_step([next(loaded)]).read()["loss"] for _ in range(steps)]


@pytest.mark.parametrize("preset", ["cocon", "coclr"])
@pytest.mark.parametrize("amp", ["auto", "fp16", "off"])
def test_no_step_of_pretraining_synchronises(context: Any, preset: str, amp: str) -> None:
    """torch makes an error of everything that waits for the device."""
    _no_wait(pretraining(context("cuda"), preset, 4, amp=amp, clip_gradient=1.0))


@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
def test_no_step_of_fine_tuning_synchronises(context: Any, optimiser: str) -> None:
    trainer = finetuning(context("cuda"), 8, optimiser=optimiser, jitter=0.5, clip_gradient=1.0)
    _no_wait(trainer)


def _no_wait(trainer: Any) -> None:
    trainer.model.train()
    loaded = iter(trainer.loader)
    values = [trainer.train_step([next(loaded)]) for _ in range(2)]
    batch = next(loaded)
    torch.cuda.set_sync_debug_mode("error")
    try:
        values.append(trainer.train_step([batch]))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(torch.tensor(step.read()["loss"]).isfinite() for step in values)


def test_in_float32_the_losses_are_those_of_the_cpu(context: Any) -> None:
    """Without dropout, which every device draws for itself."""
    network = NETWORK.model_copy(update={"dropout": 0.0})
    found = [
        losses(pretraining(context(device), "cocon", 4, TRAINED, network, **EXACT))
        for device in ("cpu", "cuda")
    ]
    assert found[1] == pytest.approx(found[0], rel=0.02)


@pytest.mark.parametrize(
    "switch", [{"fused_optimiser": False}, {"pin_memory": False}, {"channels_last_3d": False}, {"tf32": True}]
)
def test_a_switch_changes_how_numbers_are_rounded_and_nothing_else(
    context: Any, switch: dict[str, Any]
) -> None:
    found = [
        losses(pretraining(context("cuda"), "cocon", 4, **{**EXACT, **chosen})) for chosen in ({}, switch)
    ]
    assert found[1] == pytest.approx(found[0], rel=0.02)


def test_what_a_gpu_has_saved_a_cpu_continues(context: Any, caplog: pytest.LogCaptureFixture) -> None:
    here = pretraining(context("cuda"), "cpc", 4)
    losses(here)
    assert here.switches != Switches()
    there = pretraining(context("cpu"), "cpc", 4)
    path = here.state.save(here._content(), 2)
    there.reporter._silent = False
    there._restore(path)
    losses(there, 1)
    assert "made with bf16" in caplog.text
