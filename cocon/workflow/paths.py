"""Where each file of a run lies. With wildcards in braces, the same functions give the rules' patterns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cocon.config.schema import EACH, Config, DemoDataset
from cocon.pretrainings import RANDOM, STAGE1, start_of

ENSEMBLE = "ensemble"


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

    def start(self, dataset: str, run: str, pretraining: str) -> list[str]:
        """The encoders that stage 2 of a preset starts from."""
        views = self.config.views_of(dataset)
        return self.encoders(dataset, self.start_run(run, pretraining), start_of(pretraining), views)

    def start_run(self, run: str, pretraining: str) -> str:
        """The run of the encoders that stage 2 starts from; random ones are the same for all splits."""
        return self.run_of(self.seed_of(run)) if start_of(pretraining) == RANDOM else run

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

    def scores(self, dataset: str, run: str, pretraining: str, view: str, protocol: str, split: str) -> str:
        """The scores of every test video, next to the metrics."""
        return f"{self.evaluation(dataset, run, pretraining)}/{view}/{protocol}_split{split}.npz"

    def relations(self, dataset: str, run: str, pretraining: str, split: str) -> str:
        """The relations of the classes in each view."""
        return f"{self.evaluation(dataset, run, pretraining)}/relations_split{split}.json"

    def neighbours(self, dataset: str, run: str, pretraining: str, split: str) -> str:
        """How alike the videos of a class are in each view."""
        return f"{self.evaluation(dataset, run, pretraining)}/neighbours_split{split}.json"

    def frame_size(self, dataset: str = "{dataset}", split: str = "{split}") -> str:
        """What follows from the size of the frames alone."""
        return f"{self.dataset(dataset)}/evaluation/frame_size_split{split}.json"

    def summary(self, dataset: str = "{dataset}") -> str:
        """All metrics of a data set."""
        return f"{self.dataset(dataset)}/summary.json"

    def scores_of_shards(self, dataset: str = "{dataset}") -> str:
        """The views of a demo against the truth."""
        return f"{self.dataset(dataset)}/scores.json"

    def scores_of_backends(self, dataset: str = "{dataset}") -> str:
        """Every installed backend against the truth."""
        return f"{self.dataset(dataset)}/backends.json"

    def truth(self, dataset: str) -> str:
        """The folder with the truth from the renderer of a demo."""
        return f"{self._root(dataset)}/truth"

    def pairs(self, dataset: str) -> str:
        """The table of a demo's videos with two persons in a frame."""
        return f"{self._root(dataset)}/two_persons/videos.csv"

    def _root(self, dataset: str) -> Path:
        """The folder that a demo is rendered into."""
        settings = self.config.datasets[dataset]
        assert isinstance(settings, DemoDataset), dataset
        return settings.root

    def truth_figures(self, dataset: str) -> list[str]:
        """What the report of a demo compares with the truth: its views, and every backend on request."""
        settings = self.config.datasets[dataset]
        if not isinstance(settings, DemoDataset) or self.config.views_of(dataset) == ["rgb"]:
            return []
        backends = [self.scores_of_backends(dataset)] if settings.compare_backends else []
        return [self.scores_of_shards(dataset), *backends]


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
