"""Curves of the share of same-class nearest neighbours over the steps of several trainings.

Bringing videos of one class together raises the share; pushing them apart, as false negatives, lowers it.
Read from the logs: ``neighbours/<view>`` of the probe (:mod:`cocon.training.probe`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev

from cocon.errors import ConfigError, DatasetError
from cocon.evaluation.summary import rank
from cocon.loading import number, reading
from cocon.pretrainings import PRESETS, STAGE1, start_of
from cocon.report.inputs import order_pretrainings, read_lines

_MEASURE, _CHANCE = "neighbours/", "chance"


@dataclass
class NeighbourLog:
    """A log of a training.

    Attributes:
        path: the file.
        pretraining: what was trained.
        steps: in all.
        views: by view, step and share of the epochs that were measured.
        chance: what the share would be in a random order, each time it was measured.
    """

    path: Path
    pretraining: str
    steps: int = 0
    views: dict[str, dict[int, tuple[int, float]]] = field(default_factory=lambda: defaultdict(dict))
    chance: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Curve:
    """The share in one view by one pretraining, over several runs.

    Attributes:
        pretraining: what was trained.
        view: the view.
        steps: of training before each measurement, those of stage 1 included; a mean over the runs.
        means: mean share of the runs.
        sds: standard deviation of the runs, of a sample; empty of a single run.
        runs: how many.
    """

    pretraining: str
    view: str
    steps: list[float]
    means: list[float]
    sds: list[float]
    runs: int


def read_log(path: Path) -> NeighbourLog:
    """Read ``<pretraining>/log.jsonl``, or ``stage1/<view>.log.jsonl``.

    Raises:
        ConfigError: the file has another name.
        DatasetError: it is missing or of another kind.
    """
    name = path.parent.name
    if not (path.name.endswith(".log.jsonl") if name == STAGE1 else path.name == "log.jsonl") or not name:
        raise ConfigError(
            f"{path} is not the log of a pretraining by its name",
            f"give <pretraining>/log.jsonl, or {STAGE1}/<view>.log.jsonl",
        )
    log = NeighbourLog(path, name)
    hint = "give the log of a pretraining that is done"
    with reading(path, "log of a pretraining", DatasetError, missing=hint, damaged=hint):
        rows = list(read_lines(path))
        if not rows:
            raise ValueError("it has no row")
        for row in rows:
            epoch, step = (int(number(row[key], 0)) for key in ("epoch", "step"))
            log.steps = max(log.steps, step)
            for key, value in row.items():
                if key == _MEASURE + _CHANCE:
                    log.chance.append(number(value, 0, 1))
                elif key.startswith(_MEASURE):
                    log.views[key.removeprefix(_MEASURE)][epoch] = step, number(value, 0, 1)
    return log


def curves_of(logs: Sequence[NeighbourLog]) -> list[Curve]:
    """Means over the runs of every pretraining, in the order of the table of pretrainings.

    A run's curve begins after the steps of the stage 1 that it starts from. Runs are averaged epoch by epoch;
    an epoch that only some of them have measured is left out.

    Raises:
        ConfigError: the log of a stage 1 is needed and not given.
    """
    stage1 = {log.path: log.steps for log in logs if log.pretraining == STAGE1}
    found: dict[tuple[str, str], list[dict[int, tuple[int, float]]]] = defaultdict(list)
    for log in logs:
        for view, measured in log.views.items():
            before = _steps_before(log, view, stage1)
            shifted = {epoch: (before + step, share) for epoch, (step, share) in measured.items()}
            found[log.pretraining, view].append(shifted)
    views = sorted({view for _, view in found}, key=lambda view: rank("view", view))
    return [
        _mean(pretraining, view, found[pretraining, view])
        for pretraining in order_pretrainings({name for name, _ in found})
        for view in views
        if (pretraining, view) in found
    ]


def _steps_before(log: NeighbourLog, view: str, stage1: Mapping[Path, int]) -> int:
    if log.pretraining not in PRESETS or start_of(log.pretraining) != STAGE1:
        return 0
    path = log.path.parent.parent / STAGE1 / f"{view}.log.jsonl"
    if path not in stage1:
        raise ConfigError(
            f"{log.path} goes on from stage 1, whose steps are not known",
            f"give {path} as well",
        )
    return stage1[path]


def _mean(pretraining: str, view: str, runs: Sequence[Mapping[int, tuple[int, float]]]) -> Curve:
    epochs = sorted(set.intersection(*map(set, runs)))
    steps = [mean(run[epoch][0] for run in runs) for epoch in epochs]
    shares = [[run[epoch][1] for run in runs] for epoch in epochs]
    sds = [stdev(values) for values in shares] if len(runs) > 1 else []
    return Curve(pretraining, view, steps, [mean(values) for values in shares], sds, len(runs))
