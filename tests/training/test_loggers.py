from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, get_args

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cocon.config.schema import Training
from cocon.errors import ConfigError
from cocon.training.log import read_log
from cocon.training.loggers import ALWAYS, LOGGERS, Loggers, Run

STEP = {"step": 3, "loss": 2.0}
EPOCH = {"epoch": 1, "step": 4, "loss": 1.5}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    rows = tmp_path / "state" / "log.jsonl"
    return Run("cocon rgb", "0123456789abcdef", tmp_path / "rgb.log.jsonl", rows, {"seed": 0})


class Recorder(ModuleType):
    """Stands for a package: notes every call of a function."""

    def __init__(self, name: str, **answers: Any) -> None:
        super().__init__(name)
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.answers = answers

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append((name, args, kwargs))
            return self.answers.get(name, self)

        return call

    def names(self) -> list[str]:
        return [name for name, _, _ in self.calls]


def log_all(loggers: Loggers, step: int = 0) -> None:
    loggers.begin([], step)
    loggers.step(STEP)
    loggers.epoch(EPOCH)
    loggers.close()


def test_rows_and_curves_always(run: Run) -> None:
    log_all(Loggers(run))
    assert read_log(run.rows) == [EPOCH]
    assert not run.file.exists(), "its name is for a run that is done"
    assert run.curves == run.file.parent / "tensorboard" / "rgb"
    assert len(list(run.curves.iterdir())) == 1
    assert Run("", "", Path("a/log.jsonl"), Path(), {}).curves == Path("a/tensorboard")


def test_past_rows_come_first_and_the_file_is_whole_after_every_epoch(run: Run) -> None:
    loggers = Loggers(run)
    past = {"epoch": 0, "step": 2, "loss": 3.0}
    loggers.begin([past], 2)
    loggers.epoch(EPOCH)
    assert read_log(run.rows) == [past, EPOCH]


def curves(run: Run) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard itself reads: the points (step, value) of every curve."""
    reader = EventAccumulator(str(run.curves)).Reload()
    names = reader.Tags()["scalars"]
    return {name: [(point.step, point.value) for point in reader.Scalars(name)] for name in names}


def test_tensorboard_reads_the_curves(run: Run) -> None:
    log_all(Loggers(run))
    assert curves(run) == {"step/loss": [(3, 2.0)], "epoch": [(4, 1.0)], "loss": [(4, 1.5)]}


def test_points_can_be_read_while_the_run_is_under_way(run: Run) -> None:
    loggers = Loggers(run)
    loggers.begin([], 0)
    loggers.step(STEP)
    assert curves(run) == {"step/loss": [(3, 2.0)]}
    loggers.close()


def test_curves_of_a_resumed_run_do_not_appear_twice(run: Run) -> None:
    """The checkpoint was written after step 4; what followed it was lost, and is computed again."""
    for first, last, loss in ((0, 9, 1.0), (4, 7, 2.0), (6, 8, 3.0)):
        loggers = Loggers(run)
        loggers.begin([], first)
        for step in range(first + 1, last + 1):
            loggers.step({"step": step, "loss": loss})
        loggers.close()
    expected = [1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0]
    assert curves(run) == {"step/loss": list(enumerate(expected, start=1))}


def test_curves_of_a_resumed_run_stay_and_those_of_a_new_one_do_not(run: Run) -> None:
    for step, files in ((0, 1), (4, 2), (0, 1)):
        log_all(Loggers(run), step)
        assert len(list(run.curves.iterdir())) == files


@pytest.mark.parametrize("missing", ["tensorboard", "tensorboard.summary.writer.record_writer"])
def test_without_tensorboard_a_line_says_so_and_the_rest_is_logged(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, missing: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    log_all(Loggers(run))
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    line = record.getMessage()
    assert line.startswith("no curves for TensorBoard: tensorboard/ needs the package tensorboard, ")
    assert line.endswith("; to have it: pip install -e '.[tensorboard]' in your clone of this project")
    assert read_log(run.rows) == [EPOCH]
    assert not run.curves.exists()


def test_processes_that_do_not_lead_write_nothing(run: Run) -> None:
    log_all(Loggers(None))
    assert not list(run.file.parent.iterdir())


def test_wandb(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Recorder("wandb")
    monkeypatch.setitem(sys.modules, "wandb", fake)
    log_all(Loggers(run, ["wandb"]))
    assert fake.names() == ["init", "log", "log", "finish"]
    start = fake.calls[0][2]
    assert (start["id"], start["resume"], start["config"]) == (run.key, "allow", {"seed": 0})
    assert fake.calls[1][1:] == (({"step/loss": 2.0},), {"step": 3})
    assert fake.calls[2][1:] == (({"epoch": 1, "loss": 1.5},), {"step": 4})


@pytest.mark.parametrize("known", [False, True])
def test_mlflow_goes_on_with_the_run_of_the_same_key(
    run: Run, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    past = [SimpleNamespace(info=SimpleNamespace(run_id="7"))] if known else []
    fake = Recorder("mlflow", search_runs=past)
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    log_all(Loggers(run, ["mlflow"]))
    start = next(kwargs for name, _, kwargs in fake.calls if name == "start_run")
    assert start == ({"run_id": "7"} if known else {"run_name": run.name, "tags": {"cocon_key": run.key}})
    metrics = [(args, kwargs) for name, args, kwargs in fake.calls if name == "log_metrics"]
    assert metrics == [(({"epoch": 1, "loss": 1.5},), {"step": 4})]
    assert fake.names()[-1] == "end_run"


def test_a_missing_package_is_told_at_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ConfigError, match="needs the package wandb") as error:
        Loggers(run, ["wandb"])
    assert "pip install -e '.[wandb]'" in error.value.hint


def test_the_key_names_all_that_there_are() -> None:
    field = Training.model_fields["loggers"].annotation
    assert set(get_args(get_args(field)[0])) == LOGGERS.keys() - set(ALWAYS)
