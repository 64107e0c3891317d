from __future__ import annotations

import math

import pytest
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from cocon.config.schema import Training
from cocon.errors import ConfigError
from cocon.training.schedule import Schedule


def rates(schedule: Schedule, epochs: int, steps: int) -> list[float]:
    return [schedule.rate(epoch, step, steps) for epoch in range(epochs) for step in range(steps)]


@pytest.mark.parametrize("rate", [math.inf, math.nan, 0.0, -1.0])
def test_a_learning_rate_that_is_none(rate: float) -> None:
    with pytest.raises(ConfigError, match="cannot be trained with"):
        Schedule("constant", rate, 2)


def test_constant() -> None:
    assert rates(Schedule("constant", 0.5, 2), 2, 3) == [0.5] * 6


def test_warm_up_rises_by_steps_and_ends_at_the_full_rate() -> None:
    found = rates(Schedule("constant", 1.0, 3, warmup_epochs=1.5), 3, 4)
    assert found == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1, *[1] * 6])


def test_steps_at_whole_epochs() -> None:
    found = rates(Schedule("step", 1.0, 4, milestones=(0.5, 0.75)), 4, 2)
    assert found == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01])


def test_cosine_goes_down_by_steps_after_the_warm_up() -> None:
    schedule = Schedule("cosine", 1.0, 5, minimum=0.2, warmup_epochs=1)
    found = rates(schedule, 5, 10)
    assert found[9] == pytest.approx(1.0)
    assert found[10:] == pytest.approx([0.2 + 0.4 * (1 + math.cos(math.pi * i / 40)) for i in range(40)])


def test_plateau_is_that_of_torch() -> None:
    losses = torch.rand(200, generator=torch.Generator().manual_seed(0)).cumsum(0).mul(-0.01).exp()
    losses = losses * (1 + 0.1 * torch.rand(200, generator=torch.Generator().manual_seed(1)))
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    theirs = ReduceLROnPlateau(optimiser, factor=0.5, patience=3, min_lr=1e-3)
    ours = Schedule("plateau", 0.1, 200, minimum=1e-3, factor=0.5, patience=3)
    expected, found = [], []
    for loss in losses.tolist():
        theirs.step(loss)
        ours.observe(loss)
        expected.append(optimiser.param_groups[0]["lr"])
        found.append(ours.rate(0, 0, 1))
    assert found == pytest.approx(expected)
    assert len(set(found)) > 4


def test_state() -> None:
    first, second = (Schedule("plateau", 1.0, 9, patience=1) for _ in range(2))
    for loss in (1.0, 2.0, 2.0):
        first.observe(loss)
    second.load_state_dict(first.state_dict())
    assert second.rate(3, 0, 1) == first.rate(3, 0, 1) == pytest.approx(0.1)


def test_minimum_never_raises_the_rate() -> None:
    for kind in ("plateau", "cosine"):
        assert rates(Schedule(kind, 1e-6, 2, minimum=1e-5), 2, 2) == pytest.approx([1e-6] * 4)  # type: ignore[arg-type]


def test_warm_up_longer_than_the_training() -> None:
    with pytest.raises(ConfigError, match="warm-up of 3 epochs does not fit into 2"):
        Schedule("constant", 1.0, 2, warmup_epochs=3)


def test_a_warm_up_in_steps_is_that_of_as_many_epochs() -> None:
    by_steps, by_epochs = Training(warmup_steps=6), Training(warmup_epochs=1.5)
    assert (by_steps.warmup(4), by_epochs.warmup(4)) == (1.5, 1.5)
    assert by_steps.warmup(60) == 0.1
    schedule = Schedule("constant", 1.0, 3, warmup_epochs=by_steps.warmup(4))
    assert rates(schedule, 3, 4) == pytest.approx([n / 6 for n in range(1, 6)] + [1] * 7)
