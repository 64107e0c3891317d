"""From the wildcards of a rule to the document that its result depends on.

Wildcards are any object with the attributes that a rule has: ``dataset``, ``run``, ``view``, ``shard``,
``pretraining``, ``protocol``, ``split``.

A document also identifies, under ``after``, those of the results that are read. So a result is planned again
until it was made from what the configuration says now. (Snakemake alone forgets it when a job in between
fails: it removes what that job had made, and does not miss it, since what follows is still there.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from cocon.config.schema import Config, Recipe
from cocon.config.selection import Document
from cocon.datasets.splits import ANY
from cocon.pretrainings import RANDOM, STAGE1, start_of
from cocon.protocols import FRAMES, PROTOCOLS
from cocon.workflow import dependencies
from cocon.workflow.dependencies import fingerprint_of, split_of_part
from cocon.workflow.lists import VideoLists
from cocon.workflow.paper import paper_cells, setting_of
from cocon.workflow.paths import ENSEMBLE, Paths
from cocon.workflow.running import running_settings


@dataclass(frozen=True)
class Documents:
    """The documents of all results of a configuration."""

    config: Config
    lists: VideoLists
    _known: dict[tuple[Any, ...], str] = field(default_factory=dict, repr=False)

    def _recipe(self, wildcards: Any) -> Recipe:
        return self.config.recipe_of(wildcards.dataset)

    def _views(self, wildcards: Any) -> list[str]:
        return self.config.views_of(wildcards.dataset)

    def _seed(self, wildcards: Any) -> int:
        return Paths(self.config).seed_of(wildcards.run)

    def _once(self, key: tuple[Any, ...], document: Callable[[], Mapping[str, Any]]) -> str:
        """The fingerprint of a document that many others are after."""
        if key not in self._known:
            self._known[key] = fingerprint_of(document())
        return self._known[key]

    # -------------------------------------------------------------------------------- videos

    def rendering(self, dataset: str) -> Callable[[Any], Document]:
        """The videos of a demo."""
        return lambda _: dependencies.rendering(self.config.datasets[dataset])

    def pairs(self, dataset: str) -> Callable[[Any], Document]:
        """The videos with two persons in a frame, of a demo."""
        return lambda _: dependencies.pairs(self.config.datasets[dataset])

    def source(self, dataset: str) -> Callable[[Any], Document]:
        """The videos of a public data set."""
        return lambda _: dependencies.source(self.config.datasets[dataset])

    def table(self, wildcards: Any) -> Document:
        """The table of a data set's videos, or what of it a split says."""
        split = split_of_part(getattr(wildcards, "part", ""))
        if split == ANY:
            return self._encoded(wildcards.dataset)
        return self._table(wildcards.dataset, labels=True, split=split)

    def training_table(self, wildcards: Any) -> Document:
        """The table that pretraining reads; it depends on labels only where they choose the encoders."""
        split = split_of_part(getattr(wildcards, "part", ""))
        return self._training_table(wildcards.dataset, split)

    def _training_table(self, dataset: str, split: str) -> Document:
        document = self._table(dataset, labels=False, split=split)
        if self.config.recipe_of(dataset).pretraining.reads_labels:
            document["labels"] = self.lists.training_labels(dataset, split)
        return document

    def _table(self, dataset: str, *, labels: bool, split: str = "") -> Document:
        """The table of a data set's videos, with the roles of all splits or of one."""
        videos = self.lists.table(dataset, labels=labels, split=split)
        return dependencies.table(videos) | self._rendered(dataset)

    def _encoded(self, dataset: str) -> Document:
        """The table of the videos that features are made of."""
        return dependencies.table(self.lists.encoded(dataset)) | self._rendered(dataset)

    def _split(self, wildcards: Any) -> str:
        """The split that a result depends on; empty where the splits of a data set are one list."""
        return wildcards.split if self.lists.apart(wildcards.dataset) else ""

    def _rendered(self, dataset: str) -> Document:
        settings = self.config.datasets[dataset]
        if not settings.rendered:
            return {}
        return {"after": self._once(("videos", dataset), lambda: dependencies.rendering(settings))}

    def shard(self, wildcards: Any) -> Document:
        """A shard of one view; without a view among the wildcards, of the pass that gives mask and pose."""
        views = [wildcards.view] if hasattr(wildcards, "view") else ["mask", "pose"]
        videos = self.lists.members(wildcards.dataset, int(wildcards.shard))
        document = dependencies.extraction(self._recipe(wildcards), views, videos)
        return document | self._rendered(wildcards.dataset)

    def _shards(self, dataset: str, view: str) -> str:
        """Identifies all shards of a view."""
        owner = self.config.owner_of_shards(dataset)

        def documents() -> Document:
            passes = dependencies.passes(self.config.recipe_of(owner), self.config.views_of(owner))
            alone = {"view": view} if (view,) in passes else {}
            count = self.config.datasets[owner].shards
            shards = (SimpleNamespace(dataset=owner, shard=number, **alone) for number in range(count))
            return {"shards": [self.shard(shard) for shard in shards]}

        return self._once(("shards", owner, view), documents)

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

    def _pretraining(self, wildcards: Any, stage: str, preset: str, views: list[str]) -> Document:
        dataset, run = wildcards.dataset, wildcards.run
        split = Paths(self.config).pretrained_on(dataset, run)
        part = split if self.lists.apart(dataset) else ""
        after: Document = {
            "videos": fingerprint_of(self._training_table(dataset, part)),
            "shards": {view: self._shards(dataset, view) for view in views},
        }
        if stage == "stage2":
            start = start_of(preset)
            after["start"] = {view: self._encoder(dataset, run, start, view) for view in views}
        document = dependencies.pretraining(
            self._recipe(wildcards),
            stage,
            preset,
            views,
            split=split,
            seed=self._seed(wildcards),
            job=getattr(self.config.jobs, f"pretrain_{stage}"),
        )
        return document | {"after": fingerprint_of(after)}

    def _encoder(self, dataset: str, run: str, pretraining: str, view: str) -> str:
        """Identifies an encoder that was trained on a data set."""
        wildcards = SimpleNamespace(dataset=dataset, run=run, pretraining=pretraining, view=view)
        kind = {RANDOM: self.initial, STAGE1: self.stage1}.get(pretraining, self.stage2)
        own = view if pretraining in (RANDOM, STAGE1) else ""
        return self._once(("encoder", dataset, run, pretraining, own), lambda: kind(wildcards))

    # ---------------------------------------------------------------------------- evaluation

    def features(self, wildcards: Any) -> Document:
        """The features of a view."""
        document, dataset = dependencies.features(self._recipe(wildcards), wildcards.view), wildcards.dataset
        apart = self.lists.apart(dataset)
        videos = self._encoded(dataset) if apart else self._table(dataset, labels=True)
        return document | {"after": self._before_evaluation(wildcards, wildcards.view, videos)}

    def _before_evaluation(self, wildcards: Any, view: str, videos: Document) -> str:
        """Identifies the videos, the shards and the encoder that an evaluation reads."""
        dataset = wildcards.dataset
        trained_on = self.config.trained_on(dataset)
        return fingerprint_of(
            {
                "videos": fingerprint_of(videos),
                "shards": self._shards(dataset, view),
                "encoder": self._encoder(trained_on, wildcards.run, wildcards.pretraining, view),
            }
        )

    def _features(self, wildcards: Any, view: str) -> str:
        """Identifies the features of a view."""
        of_view = SimpleNamespace(
            dataset=wildcards.dataset, run=wildcards.run, pretraining=wildcards.pretraining, view=view
        )
        key = ("features", of_view.dataset, of_view.run, of_view.pretraining, view)
        return self._once(key, lambda: self.features(of_view))

    def _features_and_split(self, wildcards: Any, view: str) -> str:
        """Identifies the features of a view, and what a split says about their videos."""
        features, split = self._features(wildcards, view), self._split(wildcards)
        if not split:
            return features  # which depend on the roles in all splits
        table = self._table(wildcards.dataset, labels=True, split=split)
        return fingerprint_of({"features": features, "videos": table})

    def protocol(self, wildcards: Any) -> Document:
        """The metrics of a view."""
        recipe, view = self._recipe(wildcards), wildcards.view
        document = dependencies.protocol(recipe, wildcards.protocol, view, self._seed(wildcards))
        if PROTOCOLS[recipe.evaluation.kind(wildcards.protocol)].reads == FRAMES:
            table = self._table(wildcards.dataset, labels=True, split=self._split(wildcards))
            return document | {"after": self._before_evaluation(wildcards, view, table)}
        return document | {"after": self._features_and_split(wildcards, view)}

    def fusion(self, wildcards: Any) -> Document:
        """The metrics of all views together."""
        recipe, views = self._recipe(wildcards), self._views(wildcards)
        document = dependencies.fusion(recipe, wildcards.protocol, views, self._seed(wildcards))
        if PROTOCOLS[recipe.evaluation.kind(wildcards.protocol)].joined:
            after = {view: self._features_and_split(wildcards, view) for view in views}
        else:
            after = {view: self._metrics(wildcards, view) for view in views}
        return document | {"after": fingerprint_of(after)}

    def _metrics(self, wildcards: Any, view: str) -> str:
        """Identifies the metrics of a view, or of all views together."""
        names = ["dataset", "run", "pretraining", "protocol"]
        names += ["split"] if self._split(wildcards) else []
        values = tuple(getattr(wildcards, name) for name in names)
        of_view = SimpleNamespace(**dict(zip(names, values, strict=True)), view=view)
        document = self.fusion if view == ENSEMBLE else self.protocol
        return self._once(("metrics", *values, view), lambda: document(of_view))

    def relations(self, wildcards: Any) -> Document:
        """What the views say about the classes."""
        after = {view: self._features_and_split(wildcards, view) for view in self._views(wildcards)}
        document = dependencies.relations(self._recipe(wildcards), self._seed(wildcards))
        return document | {"after": fingerprint_of(after)}

    def neighbours(self, wildcards: Any) -> Document:
        """How alike the videos of a class are in each view."""
        after = {view: self._features_and_split(wildcards, view) for view in self._views(wildcards)}
        document = dependencies.of_stage("neighbours") | {"seed": self._seed(wildcards)}
        return document | {"after": fingerprint_of(after)}

    def frame_size(self, wildcards: Any) -> Document:
        """What follows from the size of the frames alone."""
        after = {
            "videos": self._table(wildcards.dataset, labels=True, split=self._split(wildcards)),
            "shards": self._shards(wildcards.dataset, self._views(wildcards)[0]),
        }
        return dependencies.of_stage("frame_size") | {"after": fingerprint_of(after)}

    def summary(self, wildcards: Any) -> Document:
        """All metrics of a data set, and the setting in which published figures can be compared with them."""
        evaluation = self._recipe(wildcards).evaluation
        cells = (
            (pretraining, view, protocol)
            for protocol in evaluation.protocols
            for pretraining in evaluation.judged_by(protocol)
            for view in Paths(self.config).views_and_ensemble(wildcards.dataset)
        )
        return self._setting(wildcards.dataset, cells)

    def cells(self, wildcards: Any) -> Document:
        """The cells of the paper's table that belong to a data set."""
        dataset = wildcards.dataset
        cells = ((pretraining, view, "finetune") for pretraining, view in paper_cells(self.config, dataset))
        return self._setting(dataset, cells)

    def _setting(self, dataset: str, cells: Iterable[tuple[str, str, str]]) -> Document:
        after = self._gathered(dataset, cells, self.lists.splits(dataset))
        setting = setting_of(self.config, dataset).model_dump(mode="json", exclude_defaults=True)
        return dependencies.of_stage("summary", setting) | {"after": after}

    def _gathered(
        self,
        dataset: str,
        cells: Iterable[tuple[str, str, str]],
        splits: Sequence[str],
        seeds: Sequence[int | None] = (None,),
    ) -> str:
        """Identifies metrics of a data set: pretraining, view and protocol of each.

        Args:
            dataset: its name.
            cells: pretraining, view and protocol.
            splits: that are evaluated. Where they are one list, a result does not depend on its split.
            seeds: of the repetitions; None: the configuration's.
        """
        apart, paths = self.lists.apart(dataset), Paths(self.config)
        found = {}
        for pretraining, view, protocol in cells:
            for split in splits if apart else splits[:1]:
                for run in [paths.run_for(dataset, pretraining, split, seed) for seed in seeds]:
                    where = f" split {split}" if apart else ""
                    found[f"{run} {pretraining} {view} {protocol}{where}"] = self._metrics(
                        SimpleNamespace(
                            dataset=dataset, run=run, pretraining=pretraining, protocol=protocol, split=split
                        ),
                        view,
                    )
        return fingerprint_of(found)

    def ablation(self, name: str) -> Callable[[Any], Document]:
        """The table of an ablation."""

        def document(_: Any) -> Document:
            settings, paths = self.config.ablations[name], Paths(self.config)
            splits = self.lists.compared_splits(name)
            views = paths.views_and_ensemble(settings.dataset)
            cells = (
                (pretraining, view, protocol)
                for pretraining in settings.pretrainings
                for view in views
                for protocol in settings.protocols
            )
            after = {
                "metrics": self._gathered(settings.dataset, cells, splits, paths.seeds_of(name)),
                "videos": self._table(settings.dataset, labels=True),
            }
            return dependencies.of_stage("ablation") | {"after": fingerprint_of(after)}

        return document

    def curves(self, name: str) -> Callable[[Any], Document]:
        """The figure of an ablation's trainings."""

        def document(_: Any) -> Document:
            paths = Paths(self.config)
            dataset = self.config.trained_on(self.config.ablations[name].dataset)
            after = {
                f"{run} {pretraining} {view}": self._encoder(dataset, run, pretraining, view)
                for run, names in paths.trainings(name, self.lists.compared_splits(name)).items()
                for pretraining in names
                for view in self.config.views_of(dataset)
            }
            return dependencies.of_stage("curves") | {"after": fingerprint_of(after)}

        return document

    def paper(self, wildcards: Any) -> Document:
        """The paper's table."""
        cells = {
            name: fingerprint_of(self.cells(SimpleNamespace(dataset=name))) for name in self.config.paper
        }
        return dependencies.of_stage("summary") | {"after": fingerprint_of(cells)}

    def report(self, wildcards: Any) -> Document:
        """A report: its summary, and what it shows of the configuration."""
        dataset = self.config.datasets[wildcards.dataset]
        document = dependencies.of_stage(
            "report",
            {
                "kind": dataset.kind,
                "recipe_name": dataset.recipe,
                "recipe": dependencies.shown_in_report(self._recipe(wildcards), self._views(wildcards)),
                "seed": self.config.seed,
            },
        )
        return document | {"after": fingerprint_of(self.summary(wildcards))}

    def scores(self, dataset: str) -> Callable[[Any], Document]:
        """Extracted views against the truth."""

        def document(_: Any) -> Document:
            after = {view: self._shards(dataset, view) for view in self.config.views_of(dataset)}
            return dependencies.of_stage("scores") | {"after": fingerprint_of(after)}

        return document

    def backends(self, dataset: str) -> Callable[[Any], Document]:
        """Every installed backend against the truth."""
        pairs = self.pairs(dataset)
        return lambda _: dependencies.of_stage("backends") | self._rendered(dataset) | {"pairs": pairs(None)}

    def export(self, wildcards: Any) -> Document:
        """Encoders for others."""
        dataset, pretraining = wildcards.dataset, wildcards.pretraining
        after = {view: self._encoder(dataset, "", pretraining, view) for view in self._views(wildcards)}
        return dependencies.of_stage("export") | {"after": fingerprint_of(after)}

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
        kind = evaluation.kind(wildcards.protocol)
        return {kind: running_settings(getattr(self.config.jobs, PROTOCOLS[kind].job), section)}
