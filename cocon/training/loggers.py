"""Loggers for training curves: ``log.jsonl`` and TensorBoard; W&B and MLflow on request.

How to add one: a subclass of :class:`Logger`, a line in :data:`LOGGERS`, its name in the key ``loggers``.
"""

from __future__ import annotations

import importlib
import logging
import shutil
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cocon.errors import ConfigError
from cocon.installation import failed_import, how_to_install
from cocon.training.log import Row, write_log

log = logging.getLogger(__name__)
_PROJECT = "cocon"
_FORMAT = "brain.Event:2"  # the first record of every file of TensorBoard


@dataclass(frozen=True)
class Run:
    """The description of a run for loggers.

    Attributes:
        name: display name.
        key: identifies it; a resumed run has the same key.
        file: the file of one JSON object per epoch, ``log.jsonl`` or ``<name>.log.jsonl``; written when the
            run is done.
        rows: the same during the run.
        settings: the settings, as a JSON-like document.
    """

    name: str
    key: str
    file: Path
    rows: Path
    settings: Mapping[str, Any]

    @property
    def curves(self) -> Path:
        """Folder for TensorBoard: ``tensorboard/<name>`` next to the file."""
        return self.file.parent / "tensorboard" / self.file.name.removesuffix("log.jsonl").rstrip(".")


class Logger(ABC):
    """The interface of loggers, which take rows of numbers.

    Args:
        run: what is logged.
    """

    def __init__(self, run: Run) -> None:
        self.run = run

    def begin(self, rows: list[Row], step: int) -> None:  # noqa: B027 (most need nothing)
        """The run starts, or resumes after ``step`` steps with these rows of past epochs."""

    def step(self, row: Row) -> None:  # noqa: B027
        """Some steps of the optimiser (about one a second): ``step``, loss, terms, times."""

    @abstractmethod
    def epoch(self, row: Row) -> None:
        """A finished epoch: ``epoch``, ``step``, means and times."""

    def close(self) -> None:  # noqa: B027
        """The run ends or stops."""


class JsonLines(Logger):
    """One JSON object per epoch, in a file that is complete after every epoch; the caller moves it into
    place."""

    def begin(self, rows: list[Row], step: int) -> None:
        """Keep the rows of past epochs."""
        self._rows = list(rows)

    def epoch(self, row: Row) -> None:
        """Rewrite the file with one more line."""
        self._rows.append(row)
        write_log(self.run.rows, self._rows)


class TensorBoard(Logger):
    """TensorBoard curves over optimiser steps; those of single steps are named ``step/...``.

    The records are written synchronously, not by the thread of ``SummaryWriter``, which prints a traceback of
    its own on a full disk.
    """

    def begin(self, rows: list[Row], step: int) -> None:
        """Open a new file, which voids later steps of earlier files; a run that starts over removes them."""
        from tensorboard.compat.proto.event_pb2 import SessionLog
        from tensorboard.summary.writer.record_writer import RecordWriter

        folder = self.run.curves
        if step == 0:
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        now = time.time_ns()  # TensorBoard reads the files in the order of their names
        name = f"events.out.tfevents.{now // 10**9}.{now % 10**9:09}.{socket.gethostname()}"
        self._file = RecordWriter((folder / name).open("xb"))
        self._write(file_version=_FORMAT)
        if step:
            self._write(step=step + 1, session_log=SessionLog(status=SessionLog.START))

    def step(self, row: Row) -> None:
        """Add points."""
        self._points(_prefixed(row), row["step"])

    def epoch(self, row: Row) -> None:
        """Add points."""
        self._points(_values(row), row["step"])

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _points(self, values: Mapping[str, float], step: int) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        points = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        self._write(step=step, summary=Summary(value=points))
        self._file.flush()

    def _write(self, **content: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        self._file.write(Event(wall_time=time.time(), **content).SerializeToString())


class WandB(Logger):
    """Weights & Biases (https://docs.wandb.ai); its environment variables apply."""

    def begin(self, rows: list[Row], step: int) -> None:
        """Start the run, or resume the one of the same key."""
        self._run = _optional("wandb").init(
            project=_PROJECT,
            name=self.run.name,
            id=self.run.key,
            resume="allow",
            config=dict(self.run.settings),
            dir=str(self.run.file.parent),
        )

    def step(self, row: Row) -> None:
        """Send points."""
        self._run.log(_prefixed(row), step=row["step"])

    def epoch(self, row: Row) -> None:
        """Send points."""
        self._run.log(_values(row), step=row["step"])

    def close(self) -> None:
        """Finish sending."""
        self._run.finish()


class MLflow(Logger):
    """MLflow (https://mlflow.org), epochs only; the server is set by ``MLFLOW_TRACKING_URI``."""

    def begin(self, rows: list[Row], step: int) -> None:
        """Start the run, or resume the one of the same key."""
        self._mlflow = _optional("mlflow")
        self._mlflow.set_experiment(_PROJECT)
        past = self._mlflow.search_runs(
            filter_string=f"tags.cocon_key = '{self.run.key}'", output_format="list", max_results=1
        )
        if past:
            self._mlflow.start_run(run_id=past[0].info.run_id)
        else:
            self._mlflow.start_run(run_name=self.run.name, tags={"cocon_key": self.run.key})
            self._mlflow.log_dict(dict(self.run.settings), "settings.json")

    def epoch(self, row: Row) -> None:
        """Send points."""
        self._mlflow.log_metrics(_values(row), step=row["step"])

    def close(self) -> None:
        """End the run."""
        self._mlflow.end_run()


LOGGERS: dict[str, type[Logger]] = {
    "jsonl": JsonLines,
    "tensorboard": TensorBoard,
    "wandb": WandB,
    "mlflow": MLflow,
}
ALWAYS = ("jsonl", "tensorboard")


class Loggers:
    """Forwards everything to the default loggers and to those requested.

    Without the package tensorboard its curves are left out, with a message.

    Args:
        run: what is logged; None: log nothing (every process but the first).
        names: further loggers, of :data:`LOGGERS`.

    Raises:
        ConfigError: when the package of a logger is not installed.
    """

    def __init__(self, run: Run | None, names: Iterable[str] = ()) -> None:
        for name in names:
            _optional(name)  # now, not after hours
        self._all = []
        if run is not None:
            always = [name for name in ALWAYS if name != "tensorboard" or _has_tensorboard()]
            self._all = [LOGGERS[name](run) for name in (*always, *names)]

    def begin(self, rows: list[Row], step: int) -> None:
        """See :meth:`Logger.begin`."""
        for logger in self._all:
            logger.begin(rows, step)

    def step(self, row: Row) -> None:
        """See :meth:`Logger.step`."""
        for logger in self._all:
            logger.step(row)

    def epoch(self, row: Row) -> None:
        """See :meth:`Logger.epoch`."""
        for logger in self._all:
            logger.epoch(row)

    def close(self) -> None:
        """See :meth:`Logger.close`."""
        for logger in self._all:
            logger.close()


def _has_tensorboard() -> bool:
    try:
        for module in ("tensorboard", "tensorboard.summary.writer.record_writer"):
            importlib.import_module(module)
    except ImportError as error:
        missing, hint = failed_import(
            "tensorboard/", "tensorboard", error, f"to have it: {how_to_install('tensorboard')}"
        )
        log.warning("no curves for TensorBoard: %s; %s", missing, hint)
        return False
    return True


def _optional(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        install = f"{how_to_install(package)}, or take it out of the key loggers"
        raise ConfigError(*failed_import(f"the logger '{package}'", package, error, install)) from error


def _values(row: Row) -> dict[str, float]:
    return {name: value for name, value in row.items() if name != "step"}


def _prefixed(row: Row) -> dict[str, float]:
    return {f"step/{name}": value for name, value in _values(row).items()}
