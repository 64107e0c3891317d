"""What ablations compare: pretrainings by runs, which are seeds and splits.

Files are given as patterns, see :mod:`cocon.patterns`: the length of a command line is limited.
"""

from __future__ import annotations

from collections.abc import Callable

from cocon.config.schema import Config
from cocon.patterns import one_of
from cocon.pretrainings import RANDOM, STAGE1
from cocon.workflow.evaluated import Cell, views_and_ensemble, with_starts
from cocon.workflow.lists import VideoLists
from cocon.workflow.paths import Paths


class Ablations:
    """The files that ablations compare, on all of their splits.

    Args:
        config: the configuration.
        lists: the videos of its data sets.
    """

    def __init__(self, config: Config, lists: VideoLists) -> None:
        self.config = config
        self.lists = lists
        self.paths = Paths(config)

    def metrics(self, ablation: str) -> list[str]:
        """Patterns of the metrics of all pretrainings, views, protocols, seeds and splits.

        Raises:
            CoConError: labels or splits do not allow an evaluation; the members below raise it too.
        """
        return self._of_evaluations(ablation, self.paths.metrics)

    def cells(self, ablation: str) -> list[Cell]:
        """The same metrics, one by one."""
        settings = self.config.ablations[ablation]
        return [
            Cell(run, pretraining, view, protocol, split)
            for (run, split), pretrainings in self._runs(ablation).items()
            for pretraining in pretrainings
            for view in views_and_ensemble(self.config, settings.dataset)
            for protocol in settings.protocols
        ]

    def scores(self, ablation: str) -> list[str]:
        """Patterns of the scores next to the metrics."""
        return self._of_evaluations(ablation, self.paths.scores)

    def relations(self, ablation: str) -> list[str]:
        """Patterns of the relations of the classes in the views, if there are several views."""
        dataset = self.config.ablations[ablation].dataset
        if len(self.config.views_of(dataset)) == 1:
            return []
        return [self.paths.relations(dataset, *where) for where in self._repetitions(ablation)]

    def neighbours(self, ablation: str) -> list[str]:
        """Patterns of how alike the videos of a class are in each view."""
        dataset = self.config.ablations[ablation].dataset
        return [self.paths.neighbours(dataset, *where) for where in self._repetitions(ablation)]

    def frame_sizes(self, ablation: str) -> list[str]:
        """Patterns of what follows from the size of the frames alone."""
        return [self.paths.frame_size(self.config.ablations[ablation].dataset, one_of(self.splits(ablation)))]

    def logs(self, ablation: str) -> list[str]:
        """Patterns of the logs of all trainings, and of the stage 1 that some of them start from."""
        dataset = self.config.trained_on(self.config.ablations[ablation].dataset)
        views = one_of(self.config.views_of(dataset))
        logs = []
        for run, pretrainings in self.trainings(ablation).items():
            if STAGE1 in pretrainings:
                logs.append(self.paths.log(dataset, run, STAGE1, views))
            if together := [name for name in pretrainings if name != STAGE1]:
                logs.append(self.paths.log(dataset, run, one_of(together), views))
        return logs

    def seen(self, ablation: str) -> dict[str, tuple[int, int]]:
        """How many test videos the encoders were pretrained on, and of how many, by split."""
        found = self.lists.seen(self.config.ablations[ablation].dataset)
        return {split: found[split] for split in self.splits(ablation) if split in found}

    def trainings(self, ablation: str) -> dict[str, list[str]]:
        """By run what is trained for an ablation, in both stages."""
        runs = self._runs(ablation)
        encoders = ((run, name) for (run, _), names in runs.items() for name in names)
        found: dict[str, list[str]] = {}
        for run, name in with_starts(self.paths, encoders):
            if name != RANDOM:
                found.setdefault(run, []).append(name)
        return found

    def has_curves(self, ablation: str) -> bool:
        """Whether the trainings of an ablation are measured while they run."""
        trained = set(self.config.ablations[ablation].pretrainings) - {RANDOM}
        return bool(trained) and self.config.jobs.pretrain_stage2.probe_every > 0

    def target(self, ablation: str) -> list[str]:
        """What ``ablation_<name>`` makes: the table, and the figure if there is one."""
        folder = self.paths.dataset(self.config.ablations[ablation].dataset)
        kinds = ["json", "csv", *(["svg"] if self.has_curves(ablation) else [])]
        return [f"{folder}/ablation_{ablation}.{kind}" for kind in kinds]

    def splits(self, ablation: str) -> tuple[str, ...]:
        """The splits of an ablation, after a check of the labels of its data set."""
        self.lists.check_labels(self.config.ablations[ablation].dataset)
        return self.lists.compared_splits(ablation)

    def seeds(self, ablation: str) -> list[int]:
        """The seed of each repetition of an ablation."""
        first = self.config.seed
        return list(range(first, first + self.config.ablations[ablation].seeds))

    def _of_evaluations(self, ablation: str, path: Callable[..., str]) -> list[str]:
        """Patterns of the files of all evaluations."""
        settings = self.config.ablations[ablation]
        view = one_of(views_and_ensemble(self.config, settings.dataset))
        protocol = one_of(settings.protocols)
        return [
            path(settings.dataset, run, pretraining, view, protocol, split)
            for run, pretraining, split in self._repetitions(ablation)
        ]

    def _repetitions(self, ablation: str) -> list[tuple[str, str, str]]:
        """Run, pretrainings whose encoders lie there, and split, for each repetition of an ablation."""
        runs = self._runs(ablation)
        return [(run, one_of(pretrainings), split) for (run, split), pretrainings in runs.items()]

    def _runs(self, ablation: str) -> dict[tuple[str, str], list[str]]:
        """The pretrainings by the run that they belong to, and by split, for all seeds of an ablation."""
        settings = self.config.ablations[ablation]
        found: dict[tuple[str, str], list[str]] = {}
        for seed in self.seeds(ablation):
            for split in self.splits(ablation):
                for pretraining in settings.pretrainings:
                    run = self.paths.run_for(settings.dataset, pretraining, split, seed)
                    found.setdefault((run, split), []).append(pretraining)
        return found
