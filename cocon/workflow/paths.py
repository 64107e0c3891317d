"""Where each file of a run lies. With wildcards in braces, the same functions give the rules' patterns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cocon.config.schema import EACH, Config
from cocon.patterns import one_of
from cocon.pretrainings import RANDOM, STAGE1, start_of

ENSEMBLE = "ensemble"
RUN = r"(seed\d+/)?(split\w+/)?"
"""The wildcard ``run``: a seed or a split with encoders of its own has a folder of its own."""


@dataclass(frozen=True)
class Paths:
    """The files of all data sets of a configuration."""

    config: Config

    def dataset(self, dataset: str = "{dataset}") -> str:
        """The folder of a data set's results."""
        return f"{self.config.results}/{dataset}"

    def run(self, dataset: str = "{dataset}", run: str = "{run}") -> str:
        """The beginning of all paths of one training of a data set's encoders; ``run`` ends in a slash."""
        return f"{self.dataset(dataset)}/{run}"

    def run_of(self, seed: int) -> str:
        """The wildcard ``run`` of a seed: repetitions with other seeds lie in folders of their own."""
        return "" if seed == self.config.seed else f"seed{seed}/"

    def seed_of(self, run: str) -> int:
        """The seed of a run."""
        seed, _ = _parts(run)
        return int(seed) if seed else self.config.seed

    def run_for(self, dataset: str, pretraining: str, split: str, seed: int | None = None) -> str:
        """The run whose encoders are evaluated on a split.

        Where every split has encoders of its own, those of the first one lie where they always do. Random
        ones are the same for all.

        Args:
            dataset: that is evaluated.
            pretraining: of the encoders.
            split: that they are evaluated on.
            seed: of a repetition; None: the configuration's.
        """
        settings = self.config.datasets[dataset]
        run = "" if seed is None else self.run_of(seed)
        own = settings.pretrain_split == EACH and self.config.trained_on(dataset) == dataset
        if not own or pretraining == RANDOM or split == settings.first_split:
            return run
        return f"{run}split{split}/"

    def pretrained_on(self, dataset: str, run: str) -> str:
        """What the encoders of a run are pretrained on: a split, ``common`` or ``all``."""
        settings = self.config.datasets[dataset]
        return settings.pretrained_on(_parts(run)[1] or settings.first_split)

    def manifest(self, dataset: str = "{dataset}", part: str = "") -> str:
        """The table of the videos, with labels; see :func:`part_of_split`."""
        return f"{self.dataset(dataset)}/manifest{part}.csv"

    def training_videos(self, dataset: str = "{dataset}", part: str = "") -> str:
        """The same table, made again for another reason: pretraining does not depend on labels."""
        return f"{self.dataset(dataset)}/pretraining{part}.csv"

    def shard(self, dataset: str = "{dataset}", view: str = "{view}", shard: str = "{shard}") -> str:
        """A shard: among the results, or a query of the storage."""
        root = self.config.shard_storage or self.config.results
        return f"{root}/{dataset}/shards/{view}/{shard}.h5"

    def shards(self, dataset: str, view: str) -> list[str]:
        """All shards of one view of a data set, its own or those of another one."""
        owner = self.config.owner_of_shards(dataset)
        count = self.config.datasets[owner].shards
        return [self.shard(owner, view, f"{number:05d}") for number in range(count)]

    def encoder(self, dataset: str, run: str, pretraining: str, view: str) -> str:
        """An encoder that was trained on a data set."""
        return f"{self.run(dataset, run)}pretrain/{pretraining}/{view}.safetensors"

    def encoders(self, dataset: str, run: str, pretraining: str, views: Sequence[str]) -> list[str]:
        """The encoders of several views."""
        return [self.encoder(dataset, run, pretraining, view) for view in views]

    def evaluated_encoder(self, dataset: str, run: str, pretraining: str, view: str) -> str:
        """The encoder that is evaluated on a data set; it may have been trained on another one."""
        return self.encoder(self.config.trained_on(dataset), run, pretraining, view)

    def start(self, dataset: str, run: str, preset: str) -> list[str]:
        """The encoders that stage 2 starts from; random ones are the same for all splits."""
        start = start_of(preset)
        run = self.run_of(self.seed_of(run)) if start == RANDOM else run
        return self.encoders(dataset, run, start, self.config.views_of(dataset))

    def log(self, dataset: str, run: str, pretraining: str, view: str) -> str:
        """The log of a training; in stage 1 every view has one of its own."""
        name = f"{view}.log.jsonl" if pretraining == STAGE1 else "log.jsonl"
        return f"{self.run(dataset, run)}pretrain/{pretraining}/{name}"

    def features(self, dataset: str, run: str, pretraining: str, view: str = "{view}") -> str:
        """Features of a data set's videos."""
        return f"{self.run(dataset, run)}features/{pretraining}/{view}.h5"

    def evaluation(self, dataset: str, run: str, pretraining: str) -> str:
        """The folder of metrics and scores of one encoder."""
        return f"{self.run(dataset, run)}evaluation/{pretraining}"

    def metrics(self, dataset: str, run: str, pretraining: str, view: str, protocol: str, split: str) -> str:
        """One row of the summary."""
        return f"{self.evaluation(dataset, run, pretraining)}/{view}/{protocol}_split{split}.json"

    def relations(self, dataset: str, run: str, pretraining: str, split: str) -> str:
        """What the views say about the classes."""
        return f"{self.evaluation(dataset, run, pretraining)}/relations_split{split}.json"

    def neighbours(self, dataset: str, run: str, pretraining: str, split: str) -> str:
        """How alike the videos of a class are in each view."""
        return f"{self.evaluation(dataset, run, pretraining)}/neighbours_split{split}.json"

    def frame_size(self, dataset: str = "{dataset}", split: str = "{split}") -> str:
        """What follows from the size of the frames alone."""
        return f"{self.dataset(dataset)}/evaluation/frame_size_split{split}.json"

    # -------------------------------------------------------------------------- what targets need

    def views_and_ensemble(self, dataset: str) -> list[str]:
        """What is evaluated: every view of a data set, and all of them together."""
        views = self.config.views_of(dataset)
        return [*views, *([ENSEMBLE] if len(views) > 1 else [])]

    def all_metrics(self, dataset: str, splits: Sequence[str]) -> list[str]:
        """The metrics of all encoders, views, protocols and splits of a data set."""
        evaluation = self.config.recipe_of(dataset).evaluation
        return [
            self.metrics(
                dataset, self.run_for(dataset, pretraining, split), pretraining, view, protocol, split
            )
            for protocol in evaluation.protocols
            for pretraining in evaluation.judged_by(protocol)
            for view in self.views_and_ensemble(dataset)
            for split in splits
        ]

    def all_encoders(self, dataset: str, pretraining: str, splits: Sequence[str]) -> list[str]:
        """The encoders of all views that are evaluated on any of the splits."""
        runs = dict.fromkeys(self.run_for(dataset, pretraining, split) for split in splits)
        views = self.config.views_of(dataset)
        return [path for run in runs for path in self.encoders(dataset, run, pretraining, views)]

    # ------------------------------------- patterns, see cocon.patterns, of what an ablation compares

    def ablation_metrics(self, ablation: str, splits: Sequence[str]) -> list[str]:
        """The metrics of all pretrainings, views, protocols, seeds and splits."""
        settings = self.config.ablations[ablation]
        view, protocol = one_of(self.views_and_ensemble(settings.dataset)), one_of(settings.protocols)
        return [
            self.metrics(settings.dataset, run, pretraining, view, protocol, split)
            for run, pretraining, split in self._repetitions(ablation, splits)
        ]

    def ablation_scores(self, ablation: str, splits: Sequence[str]) -> list[str]:
        """The scores beside the metrics."""
        return [f"{path.removesuffix('.json')}.npz" for path in self.ablation_metrics(ablation, splits)]

    def ablation_relations(self, ablation: str, splits: Sequence[str]) -> list[str]:
        """What the views say about the classes, where there are several views."""
        dataset = self.config.ablations[ablation].dataset
        if len(self.config.views_of(dataset)) == 1:
            return []
        return [self.relations(dataset, *where) for where in self._repetitions(ablation, splits)]

    def ablation_neighbours(self, ablation: str, splits: Sequence[str]) -> list[str]:
        """How alike the videos of a class are in each view."""
        dataset = self.config.ablations[ablation].dataset
        return [self.neighbours(dataset, *where) for where in self._repetitions(ablation, splits)]

    def ablation_frame_sizes(self, ablation: str, splits: Sequence[str]) -> list[str]:
        """What follows from the size of the frames alone."""
        return [self.frame_size(self.config.ablations[ablation].dataset, one_of(splits))]

    def has_curves(self, ablation: str) -> bool:
        """Whether the trainings of an ablation are measured while they run."""
        trained = set(self.config.ablations[ablation].pretrainings) - {RANDOM}
        return bool(trained) and self.config.jobs.pretrain_stage2.probe_every > 0

    def ablation_logs(self, ablation: str, splits: Sequence[str]) -> list[str]:
        """The logs of all trainings, and of the stage 1 that some of them go on from."""
        dataset = self.config.trained_on(self.config.ablations[ablation].dataset)
        views = one_of(self.config.views_of(dataset))
        logs = []
        for run, pretrainings in self.trainings(ablation, splits).items():
            if STAGE1 in pretrainings:
                logs.append(self.log(dataset, run, STAGE1, views))
            if together := [name for name in pretrainings if name != STAGE1]:
                logs.append(self.log(dataset, run, one_of(together), views))
        return logs

    def trainings(self, ablation: str, splits: Sequence[str]) -> dict[str, list[str]]:
        """By run what is trained for an ablation, in both stages."""
        trained = [name for name in self.config.ablations[ablation].pretrainings if name != RANDOM]
        if STAGE1 not in trained and STAGE1 in map(start_of, trained):
            trained.append(STAGE1)
        found: dict[str, dict[str, None]] = {}
        for (run, _), names in self._runs(ablation, splits, trained).items():
            found.setdefault(run, {}).update(dict.fromkeys(names))
        return {run: list(names) for run, names in found.items()}

    def _repetitions(self, ablation: str, splits: Sequence[str]) -> list[tuple[str, str, str]]:
        """Run, pretrainings whose encoders lie there, and split, for each repetition of an ablation."""
        runs = self._runs(ablation, splits, self.config.ablations[ablation].pretrainings)
        return [(run, one_of(pretrainings), split) for (run, split), pretrainings in runs.items()]

    def _runs(
        self, ablation: str, splits: Sequence[str], pretrainings: Iterable[str]
    ) -> dict[tuple[str, str], list[str]]:
        """Some pretrainings by the run that they belong to, and by split, for all seeds of an ablation."""
        dataset = self.config.ablations[ablation].dataset
        found: dict[tuple[str, str], list[str]] = {}
        for seed in self.seeds_of(ablation):
            for split in splits:
                for pretraining in pretrainings:
                    run = self.run_for(dataset, pretraining, split, seed)
                    found.setdefault((run, split), []).append(pretraining)
        return found

    def seeds_of(self, ablation: str) -> list[int]:
        """The seed of each repetition of an ablation."""
        first = self.config.seed
        return list(range(first, first + self.config.ablations[ablation].seeds))


def _parts(run: str) -> tuple[str, str]:
    """The seed and the split in the wildcard ``run``; empty what it does not have."""
    found = re.fullmatch(r"(?:seed(\d+)/)?(?:split(\w+)/)?", run)
    assert found, run
    return found[1] or "", found[2] or ""


def part_of_split(split: str) -> str:
    """In names of tables: the split (or ``common``, ``all``, ``any``) that they are limited to."""
    return f"_split{split}" if split.isdecimal() else f"_{split}" if split else ""


def split_of_part(part: str) -> str:
    """The inverse of :func:`part_of_split`."""
    return part.removeprefix("_").removeprefix("split")
