"""The training loop with a problem whose gradients can be written down."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from cocon.config.schema import Training
from cocon.training import loop as module
from cocon.training import saving
from cocon.training.context import RunContext
from cocon.training.devices import World
from cocon.training.divergence import StepValues, TrainingDivergedError
from cocon.training.log import Reporter, Row
from cocon.training.loggers import Loggers
from cocon.training.loop import Loop
from cocon.training.schedule import Schedule
from cocon.training.state import RunState


class Points(NamedTuple):
    video_id: Any
    x: Tensor
    y: Tensor


class Line(Dataset[Points]):
    """Noisy points near y = x . (1, 2, 3)."""

    def __init__(self, count: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self.x = torch.randn(count, 3, generator=generator)
        self.y = self.x @ torch.tensor([1.0, 2.0, 3.0]) + 0.1 * torch.randn(count, generator=generator)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, key: tuple[int, int]) -> Points:
        return Points(str(key[1]), self.x[key[1]], self.y[key[1]])


class Fit(Loop[Points]):
    def loss_of(self, batch: Points, number: int) -> dict[str, Tensor]:
        self.seeded("noise", "unused", self.epoch, number)
        with self.autocast():
            predicted = self.model(batch.x).squeeze(1).float()
        noise = 0.01 * torch.randn_like(batch.y)
        return {"loss": (predicted - batch.y + noise).square().mean(), "size": torch.tensor(1.0)}

    def evaluate(self) -> Row:
        with torch.no_grad():
            return {"validation/loss": self.module(torch.eye(3)).square().mean().item()}


@pytest.fixture
def fit(tmp_path: Path) -> Any:
    def make(
        count: int = 20, batch: int = 4, accumulate: int = 1, rate: float = 0.05, **settings: Any
    ) -> Fit:
        torch.manual_seed(0)
        epochs, best = settings.pop("epochs", 3), settings.pop("keep_best", None)
        chosen = Training(**settings)
        state = RunState(tmp_path / "state", {"run": "test", "batch": batch}, keep=chosen.keep_checkpoints)
        reporter = Reporter("test", silent=True)
        return Fit(
            RunContext(World(torch.device("cpu")), 0, state, reporter, Loggers(None)),
            nn.Linear(3, 1, bias=False),
            Line(count),
            settings=chosen,
            section="test",
            batch_size=batch,
            accumulate=accumulate,
            workers=0,
            schedule=Schedule("constant", rate, epochs),
            keep_best=best,
        )

    return make


@pytest.fixture
def short_epochs_are_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint after every epoch, as if each took a minute."""
    monkeypatch.setattr(saving, "_APART", 0.0)


def numbers(rows: list[Row]) -> list[Row]:
    keys = ("epoch", "step", "loss", "gradient_norm", "learning_rate", "validation/loss")
    return [{key: row[key] for key in keys} for row in rows]


def test_accumulated_gradients_are_those_of_the_large_batch(fit: Any, monkeypatch: Any) -> None:
    """Where the loss is a mean over clips; here without noise, which is drawn per batch."""
    monkeypatch.setattr(torch, "randn_like", torch.zeros_like)
    large, small = fit(24, batch=12), fit(24, batch=4, accumulate=3)
    rows, others = large.fit(), small.fit()
    large.state.remove()
    for row, other in zip(rows, others, strict=True):
        assert row["step"] == other["step"]
        for key in ("loss", "gradient_norm"):
            assert row[key] == pytest.approx(other[key], rel=1e-5)
    torch.testing.assert_close(large.module.weight, small.module.weight)


def test_what_is_left_makes_a_smaller_step_with_its_own_mean(fit: Any) -> None:
    """Five batches by twos: three steps an epoch, the last with the gradient of one batch."""
    trainer = fit(20, batch=4, accumulate=2, epochs=1)
    assert trainer.steps == 3
    sizes, norms = [], []
    take_step = trainer.train_step

    def step(window: list[Points]) -> StepValues:
        sizes.append(len(window))
        before = trainer.module.weight.detach().clone()
        values: StepValues = take_step(window)
        alone = torch.stack([_gradient(before, batch) for batch in window]).mean(0)
        norms.append((values.read()["gradient_norm"], alone.norm().item()))
        return values

    trainer.train_step = step
    (row,) = trainer.fit()
    assert sizes == [2, 2, 1]
    assert row["step"] == 3
    assert [a for a, _ in norms] == pytest.approx([b for _, b in norms], rel=0.02)  # but for the noise


def _gradient(weight: Tensor, batch: Points) -> Tensor:
    return 2 * ((batch.x @ weight[0] - batch.y)[:, None] * batch.x).mean(0)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_resumed_at_any_step_is_uninterrupted(fit: Any, monkeypatch: Any, accumulate: int) -> None:
    """A checkpoint after every step, and the run dies without a word after each of them in turn."""
    monkeypatch.setattr(saving, "perf_counter", iter(range(0, 10**9, 3600)).__next__)
    whole = fit(accumulate=accumulate)
    rows = whole.fit()
    steps = whole.steps * 3
    whole.state.remove()
    for dies in range(1, steps):
        trainer = fit(accumulate=accumulate)
        take_step, taken = trainer.train_step, []

        def step(window: Any, taken: list[int] = taken, take_step: Any = take_step, dies: int = dies) -> Any:
            if len(taken) == dies:
                raise SystemExit
            taken.append(1)
            return take_step(window)

        trainer.train_step = step
        with pytest.raises(SystemExit):
            trainer.fit()
        resumed = fit(accumulate=accumulate)
        assert numbers(resumed.fit()) == numbers(rows)
        assert torch.equal(resumed.module.weight, whole.module.weight)
        resumed.state.remove()


@pytest.mark.usefixtures("short_epochs_are_saved")
def test_a_chosen_checkpoint(fit: Any) -> None:
    whole = fit(keep_checkpoints=9)
    rows = whole.fit()
    first = min(whole.state.folder.glob("step_*"))
    again = fit(keep_checkpoints=9)
    assert numbers(again.fit(first)) == numbers(rows)
    assert len(list(whole.state.folder.glob("step_*"))) == 3


def test_best_is_that_of_the_lowest_validation_loss(fit: Any) -> None:
    trainer = fit(keep_best="first", epochs=4)
    losses = [row["validation/loss"] for row in trainer.fit()]
    epoch = trainer.load_best()
    assert losses[epoch - 1] == min(losses)
    assert trainer.evaluate()["validation/loss"] == min(losses)


def test_clipping_bounds_what_adam_sees(fit: Any) -> None:
    trainer = fit(clip_gradient=0.5, epochs=1, batch=20)
    (row,) = trainer.fit()
    assert row["gradient_norm"] > 0.5
    assert trainer.module.weight.grad.norm().item() == pytest.approx(0.5, rel=1e-3)


def test_half_precision_scales_its_loss_and_keeps_the_scale(fit: Any) -> None:
    trainer = fit(amp="fp16")
    trainer.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)  # overflows, so steps are left out
    rows = trainer.fit()
    assert trainer.scaler.get_scale() < 2.0**40
    assert all(row["loss"] < 100 for row in rows)
    newest = trainer.state.newest()
    assert trainer.state.load(newest)["scaler"]["scale"] == trainer.scaler.get_scale()


@pytest.mark.parametrize("changed", [{"channels_last_3d": True}, {"amp": "bf16"}])
def test_a_checkpoint_of_other_switches_is_resumed_and_the_log_says_so(
    fit: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, changed: dict[str, Any]
) -> None:
    """A run is the same on another device; here its settings are told by hand what another would choose."""
    monkeypatch.setattr(saving, "_APART", 0.0)
    fit(epochs=2).fit()
    resumed = fit(epochs=3, **changed)
    resumed.reporter = Reporter("test")
    caplog.set_level("INFO")
    assert len(resumed.fit()) == 3
    assert f"test: computing with {resumed.switches}" in caplog.messages
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    expected = f"made with float32, and the training continues with {resumed.switches}: the result"
    assert any(expected in warning for warning in warnings)  # a busy machine adds one about waiting


def test_the_state_of_another_implementation_of_adam_is_taken_over(fit: Any) -> None:
    """What a GPU has saved names the fused one; the step counts are tensors in both."""
    fused, usual = fit(), fit()
    fused.optimiser = torch.optim.Adam(fused.parameters, fused=True)
    for trainer in (fused, usual):
        trainer.train_step([next(iter(trainer.loader))]).read()
    state = fused.optimiser.state_dict()
    assert state["param_groups"][0]["fused"]
    usual.load_optimiser(state)
    assert not usual.optimiser.param_groups[0]["fused"]
    usual.train_step([next(iter(usual.loader))]).read()
    assert usual.optimiser.state_dict()["state"][0]["step"] == 2


def test_a_gradient_that_is_no_number_stops(fit: Any) -> None:
    trainer = fit()
    trainer.module.weight.register_hook(lambda grad: grad * torch.inf)
    with pytest.raises(
        TrainingDivergedError, match=r"gradient is not finite in epoch 1, step 1 .*: \d+, \d+"
    ):
        trainer.fit()


def test_a_step_is_read_when_the_next_one_is_under_way(fit: Any, monkeypatch: Any) -> None:
    """So a GPU has work while the host waits; the last one of an epoch is read before it is measured."""
    course: list[tuple[str, int]] = []
    trainer = fit(epochs=2)
    take_step, read, evaluate = trainer.train_step, StepValues.read, trainer.evaluate

    def launched(window: list[Points]) -> StepValues:
        course.append(("launched", trainer.step + 1))
        values: StepValues = take_step(window)
        return values

    def noted(values: StepValues) -> dict[str, float]:
        course.append(("read", int(values._place.split()[-1])))
        return read(values)

    def measured() -> Row:
        course.append(("measured", trainer.step))
        row: Row = evaluate()
        return row

    monkeypatch.setattr(StepValues, "read", noted)
    trainer.train_step, trainer.evaluate = launched, measured
    trainer.fit()
    pairs = [entry for step in range(2, 6) for entry in (("launched", step), ("read", step - 1))]
    assert course == 2 * [("launched", 1), *pairs, ("read", 5), ("measured", 5)]


@pytest.mark.parametrize("step", [1, 3, 5, 6])
def test_the_step_that_diverged_is_named_and_nothing_after_it_is_kept(
    fit: Any, monkeypatch: Any, step: int
) -> None:
    """Of 5 steps in an epoch, with a checkpoint after each; the next step may be under way by then."""
    monkeypatch.setattr(saving, "perf_counter", iter(range(0, 10**9, 3600)).__next__)
    trainer = fit(keep_checkpoints=99)
    take_step, taken = trainer.train_step, list[list[str]]()

    def poisoned(window: list[Points]) -> StepValues:
        taken.append([name for batch in window for name in batch.video_id])
        if len(taken) == step:
            window = [batch._replace(y=batch.y * torch.nan) for batch in window]
        values: StepValues = take_step(window)
        return values

    trainer.train_step = poisoned
    place = f"epoch {1 + (step - 1) // 5}, step {1 + (step - 1) % 5} "
    with pytest.raises(TrainingDivergedError, match=f"loss is not finite in {place}") as error:
        trainer.fit()
    assert error.value.message.endswith(f"videos of the batch: {', '.join(taken[step - 1])}")
    assert len(taken) <= step + 1
    saved = [trainer.state.load(path) for path in trainer.state.folder.glob("step_*")]
    assert len(saved) == step - 1
    assert all(content["module"]["weight"].isfinite().all() for content in saved)


@pytest.mark.usefixtures("short_epochs_are_saved")
def test_a_validation_loss_that_is_no_number_stops(fit: Any) -> None:
    trainer = fit(keep_best="first")
    trainer.evaluate = lambda: {"validation/loss": torch.nan if trainer.epoch else 1.0}
    with pytest.raises(TrainingDivergedError, match="validation loss is not finite after epoch 2"):
        trainer.fit()
    assert trainer.load_best() == 1


def test_waiting_for_data_is_told_once(fit: Any, caplog: Any, monkeypatch: Any) -> None:
    trainer = fit()
    trainer.reporter = Reporter("test")
    laps = iter([0.9, 0.1] * 100)
    monkeypatch.setattr(module.Stopwatch, "lap", lambda self: next(laps))
    rows = trainer.fit()
    assert rows[0]["data_share"] == pytest.approx(0.9, abs=1e-3)
    assert rows[0]["clips_per_second"] == pytest.approx(4, abs=1e-2)
    assert caplog.text.count("test: 90% of the epoch was spent waiting for data") == 1


@pytest.mark.parametrize(
    ("seconds", "every", "saved"),
    [
        (1, 1, [5]),
        (30, 1, [2, 4, 5]),
        (59, 1, [2, 4, 5]),
        (60, 1, [1, 2, 3, 4, 5]),
        (30, 3, [3, 5]),
        (600, 2, [2, 4, 5]),
    ],
)
def test_short_epochs_share_a_checkpoint(
    fit: Any, monkeypatch: pytest.MonkeyPatch, seconds: int, every: int, saved: list[int]
) -> None:
    """Two are a minute apart or more, and the last epoch always has one."""
    trainer = fit(epochs=5, checkpoint_every=every, checkpoint_minutes=0, keep_checkpoints=9)
    monkeypatch.setattr(saving, "perf_counter", lambda: seconds * trainer.epoch)
    trainer.fit()
    steps = sorted(int(path.stem.removeprefix("step_")) for path in trainer.state.folder.glob("step_*"))
    assert steps == [epoch * trainer.steps for epoch in saved]


FIGURES = [3.0, 1.0, 2.0, 1.0, 5.0]


@pytest.mark.parametrize(("of_equal", "best"), [("first", 2), ("last", 4)])
def test_of_equal_epochs_one_is_the_best_also_when_resumed(
    fit: Any, monkeypatch: pytest.MonkeyPatch, of_equal: str, best: int
) -> None:
    """A checkpoint after two epochs; the run dies without a word after each step in turn."""

    def made() -> Fit:
        trainer: Fit = fit(epochs=5, keep_best=of_equal)
        trainer.evaluate = lambda: {"validation/loss": FIGURES[trainer.epoch]}  # type: ignore[method-assign]
        monkeypatch.setattr(saving, "perf_counter", lambda: 40 * trainer.epoch)
        return trainer

    whole = made()
    whole.fit()
    assert whole.load_best() == best
    whole.state.remove()
    for dies in range(1, whole.steps * 5):
        trainer = made()
        take_step, taken = trainer.train_step, []

        def step(window: Any, taken: list[int] = taken, take_step: Any = take_step, dies: int = dies) -> Any:
            if len(taken) == dies:
                raise SystemExit
            taken.append(1)
            return take_step(window)

        trainer.train_step = step  # type: ignore[method-assign]
        with pytest.raises(SystemExit):
            trainer.fit()
        resumed = made()
        resumed.fit()
        assert resumed.load_best() == best
        assert torch.equal(resumed.module.weight, whole.module.weight)
        resumed.state.remove()


def test_an_epoch_that_was_not_measured_is_not_the_best(fit: Any) -> None:
    trainer = fit(epochs=4, keep_best="first")
    trainer.evaluate = lambda: {}
    trainer.figure = lambda row: {2: 5.0}.get(row["epoch"])
    trainer.fit()
    assert trainer.load_best() == 2
