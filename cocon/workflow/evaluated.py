"""What an evaluation consists of: which metrics there are, which encoders they need, and which tables.

Targets, documents and plans use this module, so that they have the same jobs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cocon.config.schema import Config
from cocon.datasets.splits import ANY
from cocon.pretrainings import RANDOM, STAGE1, start_of
from cocon.protocols import FEATURES, PROTOCOLS
from cocon.workflow.paths import ENSEMBLE, Paths, part_of_split


class Cell(NamedTuple):
    """What one metric is of: the wildcards of its job, without the data set."""

    run: str
    pretraining: str
    view: str
    protocol: str
    split: str


def views_and_ensemble(config: Config, dataset: str) -> list[str]:
    """What is evaluated: every view of a data set, and all of them together."""
    views = config.views_of(dataset)
    return [*views, *([ENSEMBLE] if len(views) > 1 else [])]


def cells_of(paths: Paths, dataset: str, splits: Sequence[str]) -> list[Cell]:
    """All encoders, views, protocols and splits of a data set's summary."""
    evaluation = paths.config.recipe_of(dataset).evaluation
    return [
        Cell(paths.run_for(dataset, pretraining, split), pretraining, view, protocol, split)
        for protocol in evaluation.protocols
        for pretraining in dict.fromkeys(evaluation.judged_by(protocol))
        for view in views_and_ensemble(paths.config, dataset)
        for split in splits
    ]


def with_starts(paths: Paths, encoders: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Run and pretraining of encoders, and of those that their stage 2 starts from."""
    found = dict.fromkeys(encoders)
    for run, pretraining in list(found):
        if pretraining not in (RANDOM, STAGE1):
            found[paths.start_run(run, pretraining), start_of(pretraining)] = None
    return list(found)


@dataclass(frozen=True)
class Evaluated:
    """The jobs of ``eval_<data set>``.

    Attributes:
        config: the configuration.
        dataset: the data set.
        splits: that it is evaluated on.
        apart: whether a change of one split leaves the results of the others alone, see
            :func:`cocon.datasets.splits.stand_apart`.
    """

    config: Config
    dataset: str
    splits: tuple[str, ...]
    apart: bool

    @property
    def paths(self) -> Paths:
        """Where results lie."""
        return Paths(self.config)

    @property
    def cells(self) -> list[Cell]:
        """Its metrics."""
        return cells_of(self.paths, self.dataset, self.splits)

    def kind(self, protocol: str) -> str:
        """The built-in protocol that one of the recipe is, or is like."""
        return self.config.recipe_of(self.dataset).evaluation.kind(protocol)

    def on_features(self, protocol: str) -> bool:
        """Whether a protocol reads features."""
        return PROTOCOLS[self.kind(protocol)].reads == FEATURES

    def feature_runs(self, pretraining: str) -> list[str]:
        """The runs whose encoders by a pretraining make features, of every view."""
        cells = self.cells
        found = (c.run for c in cells if c.pretraining == pretraining and self.on_features(c.protocol))
        return list(dict.fromkeys(found))

    @property
    def encoder_runs(self) -> dict[str, list[str]]:
        """By pretraining the runs of the encoders that it needs, with those that a stage 2 starts from."""
        found: dict[str, list[str]] = {}
        for run, pretraining in with_starts(self.paths, ((c.run, c.pretraining) for c in self.cells)):
            found.setdefault(pretraining, []).append(run)
        return found

    @property
    def tables(self) -> set[str]:
        """The part of each table of videos that is read: by the page, by evaluations, for features."""
        splits = {*self.splits, *([ANY] if any(self.on_features(c.protocol) for c in self.cells) else [])}
        return {"", *map(self._part, splits)}

    @property
    def training_tables(self) -> set[str]:
        """The part of each table that a pretraining of this data set reads."""
        runs = {run for name, runs in self.encoder_runs.items() if name != RANDOM for run in runs}
        return {self._part(self.paths.pretrained_on(self.dataset, run)) for run in runs}

    def _part(self, split: str) -> str:
        return part_of_split(split) if self.apart else ""
