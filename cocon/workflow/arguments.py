"""Arguments of the rules' commands: options and their values, none of which changes a result by itself.

The arguments have the names of the wildcards of the rules.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from cocon.backends import backend_named
from cocon.config.schema import Config
from cocon.config.selection import changed
from cocon.workflow.ablations import Ablations
from cocon.workflow.documents.extraction import backend_of, extraction_settings
from cocon.workflow.documents.fingerprints import canonical
from cocon.workflow.lists import VideoLists
from cocon.workflow.paths import Paths, split_of_part


class Arguments:
    """The arguments of commands that follow from the configuration.

    Args:
        config: the configuration.
        lists: the videos of its data sets.
    """

    def __init__(self, config: Config, lists: VideoLists) -> None:
        self.config = config
        self.lists = lists
        self.paths = Paths(config)
        self.ablations = Ablations(config, lists)

    def section(self, dataset: str) -> str:
        """The section of a data set as JSON, for commands that list, render or get its videos."""
        return canonical(changed(self.config.datasets[dataset]))

    def videos(self, dataset: str) -> str:
        """What identifies the videos of a data set, their labels and their files."""
        return self.lists.table(dataset, labels=True)

    def members(self, dataset: str, shard: str) -> str:
        """What identifies the videos of a shard."""
        return self.lists.members(dataset, int(shard))

    def shard_count(self, dataset: str) -> int:
        """Shards per view of the data set that a data set reads."""
        return self.config.datasets[self.config.owner_of_shards(dataset)].shards

    def environment(self, dataset: str, view: str = "pose") -> str | None:
        """The file of the conda environment, for --sdm conda, of the job that extracts a view.

        As the rules see it; None for most backends. Without a view, of the pass that gives mask and pose.
        """
        backend = backend_named(view, backend_of(self.config.recipe_of(dataset), view))
        return f"../envs/{backend.environment}.yml" if backend.environment else None

    def extraction(self, dataset: str, view: str) -> str:
        """The settings of a view's extraction as JSON."""
        return canonical(extraction_settings(self.config.recipe_of(dataset), view))

    def python(self, dataset: str, view: str = "pose") -> str:
        """The Python that extracts a view: of config.yaml, else the first one on the path.

        That is the one next to Snakemake, or with --sdm conda the one of the backend's environment, if it has
        one.
        """
        backend = backend_of(self.config.recipe_of(dataset), view)
        return str(self.config.interpreters.get(backend, "python"))

    def split_option(self, part: str) -> list[str]:
        """The option with the split that a table is limited to, if it is."""
        split = split_of_part(part)
        return ["--split", split] if split else []

    def split_option_of_training(self, part: str) -> list[str]:
        """The same for the table of a pretraining, which has no labels of test videos."""
        option = self.split_option(part)
        return [*option, "--for-pretraining"] if option else []

    def first_view(self, dataset: str) -> str:
        """The view whose shards are read for data that is the same in all."""
        return self.config.views_of(dataset)[0]

    def kind(self, dataset: str, protocol: str) -> str:
        """The built-in protocol that one of a recipe is, or is like."""
        return self.config.recipe_of(dataset).evaluation.kind(protocol)

    def encoders(self, dataset: str) -> str:
        """The folder of the encoders that are evaluated on a data set."""
        return f"{self.paths.dataset(self.config.trained_on(dataset))}/pretrain"

    def pairs(self, dataset: str) -> str:
        """The folder of a demo's videos with two persons in a frame."""
        return os.path.dirname(self.paths.pairs(dataset))

    def seen(self, dataset: str) -> str:
        """How many test videos of each split the encoders were pretrained on, and of how many, as JSON."""
        return canonical(self.lists.seen(dataset))

    def seen_of_ablation(self, ablation: str) -> str:
        """The same of the splits of an ablation."""
        return canonical(self.ablations.seen(ablation))


def by_view(views: Sequence[str], files: Sequence[str]) -> list[str]:
    """The files of views as VIEW=FILE."""
    return [f"{view}={file}" for view, file in zip(views, files, strict=True)]


def folder_of(files: Sequence[str]) -> str:
    """Where a rule's files lie, for a command that takes a folder."""
    return os.path.dirname(files[0])


def folder_of_shards(files: Sequence[str]) -> str:
    """The folder that has one folder of shards per view; of those in a storage, the local copies."""
    return os.path.dirname(os.path.dirname(files[0]))


def shards_option(files: Sequence[str]) -> list[str]:
    """The option with the folder of shards, if there are any."""
    return ["--shards", folder_of_shards(files)] if files else []


def summary_option(files: Sequence[str]) -> list[str]:
    """The option with a summary, if there is one."""
    return ["--summary", *files] if files else []


def manifest_option(files: Sequence[str]) -> list[str]:
    """The option with a manifest, if there is one."""
    return ["--manifest", *files] if files else []
