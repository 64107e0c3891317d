"""From the wildcards of a rule to the document that its result depends on.

Wildcards are any object with the attributes that a rule has: ``dataset``, ``run``, ``view``, ``shard``,
``pretraining``, ``protocol``, ``split``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cocon.config.schema import Config, Recipe
from cocon.workflow import dependencies
from cocon.workflow.dependencies import Document
from cocon.workflow.lists import VideoLists
from cocon.workflow.paper import setting_of
from cocon.workflow.paths import Paths
from cocon.workflow.running import running_settings


@dataclass(frozen=True)
class Documents:
    """The documents of all results of a configuration."""

    config: Config
    lists: VideoLists

    def _recipe(self, wildcards: Any) -> Recipe:
        return self.config.recipe_of(wildcards.dataset)

    def _views(self, wildcards: Any) -> list[str]:
        return self.config.views_of(wildcards.dataset)

    def _seed(self, wildcards: Any) -> int:
        return Paths(self.config).seed_of(wildcards.run)

    # -------------------------------------------------------------------------------- videos

    def rendering(self, dataset: str) -> Callable[[Any], Document]:
        """The videos of a demo."""
        return lambda _: dependencies.rendering(self.config.datasets[dataset])

    def source(self, dataset: str) -> Callable[[Any], Document]:
        """The videos of a public data set."""
        return lambda _: dependencies.source(self.config.datasets[dataset])

    def table(self, wildcards: Any) -> Document:
        """The table of a data set's videos."""
        return dependencies.table(self.lists.table(wildcards.dataset, labels=True))

    def training_table(self, wildcards: Any) -> Document:
        """The table that pretraining reads; it does not depend on labels."""
        return dependencies.table(self.lists.table(wildcards.dataset, labels=False))

    def shard(self, wildcards: Any) -> Document:
        """A shard of one view; without a view among the wildcards, of the pass that gives mask and pose."""
        views = [wildcards.view] if hasattr(wildcards, "view") else ["mask", "pose"]
        videos = self.lists.members(wildcards.dataset, int(wildcards.shard))
        return dependencies.extraction(self._recipe(wildcards), views, videos)

    # ------------------------------------------------------------------------------ encoders

    def initial(self, wildcards: Any) -> Document:
        """An encoder before any training."""
        return dependencies.initialisation(self._recipe(wildcards), wildcards.view, self._seed(wildcards))

    def stage1(self, wildcards: Any) -> Document:
        """An encoder of stage 1."""
        return self._pretraining(wildcards, "stage1", "cpc", [wildcards.view])

    def stage2(self, wildcards: Any) -> Document:
        """The encoders of a preset."""
        return self._pretraining(wildcards, "stage2", wildcards.pretraining, self._views(wildcards))

    def _pretraining(self, wildcards: Any, stage: str, preset: str, views: Sequence[str]) -> Document:
        return dependencies.pretraining(
            self._recipe(wildcards),
            stage,
            preset,
            views,
            split=self.config.datasets[wildcards.dataset].pretrain_split,
            seed=self._seed(wildcards),
            job=getattr(self.config.jobs, f"pretrain_{stage}"),
        )

    # ---------------------------------------------------------------------------- evaluation

    def features(self, wildcards: Any) -> Document:
        """The features of a view."""
        return dependencies.features(self._recipe(wildcards), wildcards.view)

    def protocol(self, wildcards: Any) -> Document:
        """The metrics of a view."""
        return dependencies.protocol(
            self._recipe(wildcards), wildcards.protocol, wildcards.view, self._seed(wildcards)
        )

    def fusion(self, wildcards: Any) -> Document:
        """The metrics of all views together."""
        return dependencies.fusion(
            self._recipe(wildcards), wildcards.protocol, self._views(wildcards), self._seed(wildcards)
        )

    def relations(self, wildcards: Any) -> Document:
        """What the views say about the classes."""
        return dependencies.relations(self._recipe(wildcards), self._seed(wildcards))

    def setting(self, wildcards: Any) -> Document:
        """A summary: the setting in which published figures can be compared with it."""
        setting = setting_of(self.config, wildcards.dataset)
        return dependencies.of_stage("summary", setting.model_dump(mode="json"))

    def report(self, wildcards: Any) -> Document:
        """A report: what it shows of the configuration."""
        dataset = self.config.datasets[wildcards.dataset]
        return dependencies.of_stage(
            "report",
            {
                "kind": dataset.kind,
                "recipe_name": dataset.recipe,
                "recipe": dependencies.shown_in_report(self._recipe(wildcards), self._views(wildcards)),
                "seed": self.config.seed,
            },
        )

    def gathered(self, wildcards: Any) -> Document:
        """A table that is gathered from files."""
        return dependencies.of_stage("summary")

    def scores(self, wildcards: Any) -> Document:
        """Extracted views against the truth."""
        return dependencies.of_stage("scores")

    def backends(self, wildcards: Any) -> Document:
        """Every installed backend against the truth."""
        return dependencies.of_stage("backends")

    def export(self, wildcards: Any) -> Document:
        """Encoders for others."""
        return dependencies.of_stage("export")

    # --------------------------------------------------------------- how it runs, not tracked

    def device(self, wildcards: Any) -> Document:
        """Where networks run, for the report."""
        return {"device": self.config.device}

    def running(self, stage: str) -> Callable[[Any], Document]:
        """How a stage of pretraining runs, as a part of the command's settings."""

        def settings(wildcards: Any) -> Document:
            job = getattr(self.config.jobs, f"pretrain_{stage}")
            return {"pretraining": running_settings(job, self._recipe(wildcards).pretraining)}

        return settings

    def finetuning(self, wildcards: Any) -> Document:
        """How fine-tuning runs, as a part of the command's settings."""
        evaluation = self._recipe(wildcards).evaluation
        section = evaluation.section(wildcards.protocol)
        running = running_settings(self.config.jobs.finetune, section)
        return {evaluation.kind(wildcards.protocol): running}
