"""The whole of ``config.yaml``: its top level, recipes and ablations, and what must fit together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from cocon.config.schema.base import Name, Place, PositiveInt, Section, ViewName
from cocon.config.schema.clip import Clip
from cocon.config.schema.datasets import Dataset, DemoDataset
from cocon.config.schema.evaluation import Evaluation, PretrainingName
from cocon.config.schema.extraction import BackendName, Extraction
from cocon.config.schema.jobs import Jobs
from cocon.config.schema.network import Network
from cocon.config.schema.pretraining import Pretraining
from cocon.config.schema.protocols import Protocol
from cocon.pretrainings import PRESETS, PRETRAININGS, RANDOM, WITHOUT_STAGE1

#: endings of the names of rules, which are those of targets with a data set's name: pretrain_stage1
_NAMES_OF_RULES = {"stage1", "persons", "shards", "backends", "pairs"}


class Recipe(Section):
    """Everything with a number in it that turns videos into accuracies; the defaults are the paper's."""

    extraction: Extraction = Extraction()
    clip: Clip = Clip()
    network: Network = Network()
    pretraining: Pretraining = Pretraining()
    evaluation: Evaluation = Evaluation()


class Ablation(Section):
    """What the terms of the loss are worth: several pretrainings by one budget, over several seeds."""

    dataset: str = Field(examples=["demo"], description="name of the data set, under datasets")
    pretrainings: tuple[PretrainingName, ...] = Field(
        (RANDOM, *PRESETS), description="encoders that are compared, see docs/method.md"
    )
    seeds: PositiveInt = Field(3, description="number of repetitions, with the seeds seed, seed + 1, ...")
    protocols: tuple[Protocol, ...] = Field(
        ("linear", "retrieval"), description="ways to evaluate them, see docs/evaluation.md"
    )
    splits: tuple[Name, ...] = Field(
        (), description="splits of the data set; empty: all that it is evaluated on"
    )


class Config(Section):
    """The whole of ``config.yaml``."""

    include: tuple[str, ...] = Field(
        (),
        description="files whose keys count where this one does not have them; their paths start from the "
        "folder of this file, the working folder, or the program's",
    )
    results: Place = Field(Path("results"), description="folder for everything that is computed")
    shard_storage: str = Field(
        "",
        pattern=r"^(s3://[^/{}]+(/[^/{}]+)*)?$",
        description="s3://bucket/folder for the shards; empty: among the results. See docs/storage.md",
    )
    seed: int = Field(0, description="seed of initialisation, sampling and augmentation")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="where networks run; auto: on a GPU if the machine has one"
    )
    views: tuple[ViewName, ...] = Field(
        ("rgb", "flow", "mask", "pose"),
        min_length=1,
        description="what is extracted, pretrained and evaluated",
    )
    interpreters: dict[BackendName, Path] = Field(
        {},
        description="by backend, the Python of the environment that it is installed in; default: this "
        "one. See docs/backends.md",
    )
    container: str = Field(
        "",
        # Snakemake puts it into a command without quotes
        pattern=r"^([A-Za-z0-9_./][A-Za-z0-9_./:@+=-]*)?$",
        description="image that jobs run in with --sdm apptainer: a file, or a place such as docker://...; "
        "empty: none. See docs/cluster.md",
    )
    jobs: Jobs = Jobs()
    datasets: dict[Name, Dataset] = Field(
        description="by name; each gives the targets extract_<name>, pretrain_<name> and eval_<name>"
    )
    recipes: dict[Name, Recipe] = Field(
        description="by name; how the videos of a data set become views, encoders and accuracies"
    )
    ablations: dict[Name, Ablation] = Field({}, description="by name; each gives the target ablation_<name>")
    paper: tuple[str, ...] = Field((), description="data sets that fill the paper's table of results")

    @model_validator(mode="after")
    def _recipes_exist(self) -> Config:
        for name, dataset in self.datasets.items():
            if dataset.recipe not in self.recipes:
                known = ", ".join(sorted(self.recipes))
                raise ValueError(f"datasets.{name}.recipe: no recipe '{dataset.recipe}' (there are: {known})")
            if dataset.pretrain_on and dataset.pretrain_on not in self.datasets:
                raise ValueError(f"datasets.{name}.pretrain_on: no data set '{dataset.pretrain_on}'")
            if dataset.shards_of:
                self._check_shards_of(name, dataset)
        for name in self.paper:
            if name not in self.datasets:
                raise ValueError(f"paper: no data set '{name}'")
        for name, ablation in self.ablations.items():
            if ablation.dataset not in self.datasets:
                raise ValueError(f"ablations.{name}.dataset: no data set '{ablation.dataset}'")
        return self

    def _check_shards_of(self, name: str, dataset: Dataset) -> None:
        owner = self.datasets.get(dataset.shards_of)
        key = f"datasets.{name}.shards_of"
        if owner is None:
            raise ValueError(f"{key}: no data set '{dataset.shards_of}'")
        if owner.shards_of or owner.kind != dataset.kind:
            raise ValueError(
                f"{key}: '{dataset.shards_of}' must be of the kind {dataset.kind}, with its own shards"
            )
        if isinstance(owner, DemoDataset) and isinstance(dataset, DemoDataset):
            mine, others = dataset.rendered_as(), owner.rendered_as()
            if different := [name for name in mine if mine[name] != others[name]]:
                raise ValueError(f"{key}: '{dataset.shards_of}' has another {different[0]}, so other videos")
        lacking = set(self.views_of(name)) - set(self.views_of(dataset.shards_of))
        if lacking:
            raise ValueError(f"{key}: '{dataset.shards_of}' lacks the view {min(lacking)}")

    def views_of(self, dataset: str) -> list[str]:
        """The views of a data set: its own, as far as they are among all views; all if none is."""
        own = self.datasets[dataset].views
        return [view for view in self.views if view in own] or list(self.views)

    def recipe_of(self, dataset: str) -> Recipe:
        """The recipe that a data set is processed with."""
        return self.recipes[self.datasets[dataset].recipe]

    def owner_of_shards(self, dataset: str) -> str:
        """The data set whose shards a data set reads: another one of the same videos, or itself."""
        return self.datasets[dataset].shards_of or dataset

    def trained_on(self, dataset: str) -> str:
        """The data set whose encoders are evaluated on a data set: another one, or itself."""
        return self.datasets[dataset].pretrain_on or dataset

    def _trained(self, ablations: Iterable[Ablation]) -> Iterator[tuple[str, str]]:
        """Recipe and name of every pretraining that recipes and these ablations evaluate."""
        for ablation in ablations:
            for name in ablation.pretrainings:
                yield self.datasets[ablation.dataset].recipe, name
        for recipe, settings in self.recipes.items():
            evaluation = settings.evaluation
            for protocol in evaluation.protocols:
                for name in evaluation.judged_by(protocol):
                    yield recipe, name

    @model_validator(mode="after")
    def _batches_hold_whole_videos(self) -> Config:
        # not what a later version has added to the pretrainings of all ablations
        named = [own for own in self.ablations.values() if "pretrainings" in own.model_fields_set]
        for recipe, name in self._trained(named):
            batch, clips = self.recipes[recipe].pretraining.stage2.batch_size, PRETRAININGS[name].clips
            if batch % clips:
                raise ValueError(
                    f"recipes.{recipe}.pretraining.stage2.batch_size: {name} compares {clips} clips of each "
                    f"video, which do not fill a batch of {batch}"
                )
        return self

    @model_validator(mode="after")
    def _stages_add_up(self) -> Config:
        for recipe, name in self._trained(self.ablations.values()):
            if name in WITHOUT_STAGE1 and self.recipes[recipe].pretraining.mixes_lengths:
                raise ValueError(
                    f"recipes.{recipe}.pretraining: {name} trains for as long as both stages, of which one "
                    "has epochs and the other steps; give both stages epochs, or both steps"
                )
        return self

    @model_validator(mode="after")
    def _views_are_pretrained(self) -> Config:
        for name, dataset in self.datasets.items():
            source = dataset.pretrain_on or name
            lacking = set(self.views_of(name)) - set(self.views_of(source))
            if lacking:
                raise ValueError(f"datasets.{name}: its view {min(lacking)} is not pretrained on '{source}'")
        return self

    @model_validator(mode="after")
    def _names_are_free(self) -> Config:
        for name in self.datasets:
            if name in _NAMES_OF_RULES or name.startswith(("stage2", "pairs_")):
                raise ValueError(f"datasets.{name}: a step of the workflow has this name; choose another one")
        return self

    @model_validator(mode="after")
    def _crops_fit(self) -> Config:
        sources = {dataset.pretrain_on for dataset in self.datasets.values()}
        for name, dataset in self.datasets.items():
            extraction = self.recipes[self._owner(name).recipe].extraction
            recipe = self.recipes[dataset.recipe]
            for view in self.views_of(name):
                crop = dict(recipe.clip.crop.items())[view]
                stored = getattr(extraction, view).short_side
                scaled = name in sources and recipe.pretraining.scales_all_crops_of(view)
                if crop > stored and not scaled:
                    raise ValueError(
                        f"recipes.{dataset.recipe}.clip.crop.{view}: {crop} px do not fit into the frames of "
                        f"{name}, whose shorter side has {stored} px "
                        f"(recipes.{self._owner(name).recipe}.extraction.{view}.short_side)"
                    )
        return self

    def _owner(self, dataset: str) -> Dataset:
        """The data set whose shards a data set uses."""
        return self.datasets[self.datasets[dataset].shards_of or dataset]

    @model_validator(mode="after")
    def _own_protocols_agree(self) -> Config:
        kinds: dict[str, str] = {}
        for name, recipe in self.recipes.items():
            for protocol, own in recipe.evaluation.own.items():
                if kinds.setdefault(protocol, own.like) != own.like:
                    raise ValueError(
                        f"recipes.{name}.evaluation.own.{protocol} is like {own.like}, that of another "
                        f"recipe like {kinds[protocol]}; give them different names"
                    )
        return self
