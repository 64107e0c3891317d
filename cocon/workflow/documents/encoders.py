"""Encoders: before any training, of stage 1, of stage 2, and exported."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from cocon.config.schema import Config, PretrainingJob, Recipe
from cocon.config.selection import Document, clip_settings, network_settings, pooling, pretraining_settings
from cocon.pretrainings import RANDOM, STAGE1, start_of
from cocon.versions import STAGES
from cocon.views import VIEWS
from cocon.workflow.documents.extraction import ExtractionDocuments
from cocon.workflow.documents.fingerprints import fingerprint_of, of_stage
from cocon.workflow.documents.videos import VideoDocuments
from cocon.workflow.paths import Paths


def pretraining(
    recipe: Recipe,
    stage: str,
    preset: str,
    views: Sequence[str],
    *,
    split: str,
    seed: int,
    job: PretrainingJob,
) -> Document:
    """The encoders of one training."""
    views = sorted(views, key=list(VIEWS).index)  # their order in the configuration changes nothing
    document = {
        "version": STAGES["pretrain"],
        "settings": pretraining_settings(recipe, stage, preset, views, job.processes),
        "views": list(views),
        "split": split,
        "seed": seed,
    }
    document |= {"processes": job.processes} if job.processes > 1 else {}
    return document | pooling(recipe, preset, views)


def initialisation(recipe: Recipe, view: str, seed: int) -> Document:
    """The encoder of a view before any training; its file says which clips it is for."""
    return {
        "version": STAGES["initialise"],
        "settings": {
            **clip_settings(recipe.clip, [view]),
            **network_settings(recipe.network, [view]),
        },
        "seed": seed,
    }


class EncoderDocuments:
    """The documents of encoders.

    Args:
        config: the configuration.
        videos: the documents of its data sets' tables.
        extraction: the documents of their shards.
    """

    def __init__(self, config: Config, videos: VideoDocuments, extraction: ExtractionDocuments) -> None:
        self.config = config
        self.videos = videos
        self.extraction = extraction
        self.paths = Paths(config)
        self._of_one_view = cache(self._alone)
        self._of_all_views = cache(lambda *key: fingerprint_of(self.stage2(*key)))

    def initial(self, dataset: str, run: str, view: str) -> Document:
        """An encoder before any training."""
        return initialisation(self.config.recipe_of(dataset), view, self.paths.seed_of(run))

    def stage1(self, dataset: str, run: str, view: str) -> Document:
        """An encoder of stage 1."""
        return self._pretraining(dataset, run, "stage1", "cpc", [view])

    def stage2(self, dataset: str, run: str, pretraining: str) -> Document:
        """The encoders of a preset."""
        return self._pretraining(dataset, run, "stage2", pretraining, self.config.views_of(dataset))

    def _pretraining(self, dataset: str, run: str, stage: str, preset: str, views: list[str]) -> Document:
        split = self.paths.pretrained_on(dataset, run)
        table = self.videos.training_table(dataset, self.videos.split(dataset, split))
        after: Document = {
            "videos": fingerprint_of(table),
            "shards": {view: self.extraction.shards(dataset, view) for view in views},
        }
        if stage == "stage2":
            start = start_of(preset)
            after["start"] = {view: self.encoder(dataset, run, start, view) for view in views}
        document = pretraining(
            self.config.recipe_of(dataset),
            stage,
            preset,
            views,
            split=split,
            seed=self.paths.seed_of(run),
            job=getattr(self.config.jobs, f"pretrain_{stage}"),
        )
        return document | {"after": fingerprint_of(after)}

    def encoder(self, dataset: str, run: str, pretraining: str, view: str) -> str:
        """Identifies an encoder that was trained on a data set; those of stage 2 are one result."""
        if pretraining in (RANDOM, STAGE1):
            return self._of_one_view(dataset, run, pretraining, view)
        return self._of_all_views(dataset, run, pretraining)

    def _alone(self, dataset: str, run: str, pretraining: str, view: str) -> str:
        document = self.initial if pretraining == RANDOM else self.stage1
        return fingerprint_of(document(dataset, run, view))

    def export(self, dataset: str, pretraining: str) -> Document:
        """Encoders for others."""
        views = self.config.views_of(dataset)
        after = {view: self.encoder(dataset, "", pretraining, view) for view in views}
        return of_stage("export") | {"after": fingerprint_of(after)}
