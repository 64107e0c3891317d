"""What is measured of encoders: features, metrics, and how views and classes relate."""

from __future__ import annotations

from functools import cache

from cocon.config.schema import Config
from cocon.config.selection import Document
from cocon.protocols import FRAMES, PROTOCOLS, Protocol
from cocon.workflow.documents import protocols
from cocon.workflow.documents.encoders import EncoderDocuments
from cocon.workflow.documents.extraction import ExtractionDocuments
from cocon.workflow.documents.fingerprints import fingerprint_of, of_stage
from cocon.workflow.documents.videos import VideoDocuments
from cocon.workflow.paths import ENSEMBLE, Paths


class EvaluationDocuments:
    """The documents of what is measured of encoders.

    Args:
        config: the configuration.
        videos: the documents of its data sets' tables.
        extraction: the documents of their shards.
        encoders: the documents of the encoders.
    """

    def __init__(
        self,
        config: Config,
        videos: VideoDocuments,
        extraction: ExtractionDocuments,
        encoders: EncoderDocuments,
    ) -> None:
        self.config = config
        self.videos = videos
        self.extraction = extraction
        self.encoders = encoders
        self.paths = Paths(config)
        self._of_features = cache(lambda *key: fingerprint_of(self.features(*key)))
        self._of_metrics = cache(self._metrics)

    def _kind(self, dataset: str, protocol: str) -> Protocol:
        """The built-in protocol that one of a recipe is, or is like."""
        return PROTOCOLS[self.config.recipe_of(dataset).evaluation.kind(protocol)]

    def features(self, dataset: str, run: str, pretraining: str, view: str) -> Document:
        """The features of a view."""
        after = self._before(dataset, run, pretraining, view, self.videos.for_features(dataset))
        return protocols.features(self.config.recipe_of(dataset), view) | {"after": after}

    def _before(self, dataset: str, run: str, pretraining: str, view: str, table: Document) -> str:
        """Identifies the videos, the shards and the encoder that an evaluation reads."""
        trained_on = self.config.trained_on(dataset)
        return fingerprint_of(
            {
                "videos": fingerprint_of(table),
                "shards": self.extraction.shards(dataset, view),
                "encoder": self.encoders.encoder(trained_on, run, pretraining, view),
            }
        )

    def _features_and_split(self, dataset: str, run: str, pretraining: str, view: str, split: str) -> str:
        """Identifies the features of a view, and the table of their videos for a split."""
        features = self._of_features(dataset, run, pretraining, view)
        if not self.videos.split(dataset, split):
            return features  # which depend on the roles in all splits
        return fingerprint_of({"features": features, "videos": self.videos.of_split(dataset, split)})

    def _of_all_views(self, dataset: str, run: str, pretraining: str, split: str) -> Document:
        """The same of every view."""
        views = self.config.views_of(dataset)
        return {view: self._features_and_split(dataset, run, pretraining, view, split) for view in views}

    def protocol(
        self, dataset: str, run: str, pretraining: str, view: str, protocol: str, split: str
    ) -> Document:
        """The metrics of a view."""
        recipe = self.config.recipe_of(dataset)
        document = protocols.protocol(recipe, protocol, view, self.paths.seed_of(run))
        if self._kind(dataset, protocol).reads == FRAMES:
            table = self.videos.of_split(dataset, split)
            return document | {"after": self._before(dataset, run, pretraining, view, table)}
        return document | {"after": self._features_and_split(dataset, run, pretraining, view, split)}

    def fusion(self, dataset: str, run: str, pretraining: str, protocol: str, split: str) -> Document:
        """The metrics of all views together."""
        views = self.config.views_of(dataset)
        recipe, seed = self.config.recipe_of(dataset), self.paths.seed_of(run)
        if self._kind(dataset, protocol).joined:
            after = self._of_all_views(dataset, run, pretraining, split)
        else:
            after = {v: self.metrics(dataset, run, pretraining, v, protocol, split) for v in views}
        return protocols.fusion(recipe, protocol, views, seed) | {"after": fingerprint_of(after)}

    def metrics(self, dataset: str, run: str, pretraining: str, view: str, protocol: str, split: str) -> str:
        """Identifies the metrics of a view, or of all views together."""
        return self._of_metrics(dataset, run, pretraining, view, protocol, self.videos.split(dataset, split))

    def _metrics(self, dataset: str, run: str, pretraining: str, view: str, protocol: str, split: str) -> str:
        if view == ENSEMBLE:
            return fingerprint_of(self.fusion(dataset, run, pretraining, protocol, split))
        return fingerprint_of(self.protocol(dataset, run, pretraining, view, protocol, split))

    def relations(self, dataset: str, run: str, pretraining: str, split: str) -> Document:
        """The relations of the classes in each view."""
        after = self._of_all_views(dataset, run, pretraining, split)
        document = protocols.relations(self.config.recipe_of(dataset), self.paths.seed_of(run))
        return document | {"after": fingerprint_of(after)}

    def neighbours(self, dataset: str, run: str, pretraining: str, split: str) -> Document:
        """How alike the videos of a class are in each view."""
        after = self._of_all_views(dataset, run, pretraining, split)
        document = of_stage("neighbours") | {"seed": self.paths.seed_of(run)}
        return document | {"after": fingerprint_of(after)}

    def frame_size(self, dataset: str, split: str) -> Document:
        """What follows from the size of the frames alone."""
        after = {
            "videos": self.videos.of_split(dataset, split),
            "shards": self.extraction.shards(dataset, self.config.views_of(dataset)[0]),
        }
        return of_stage("frame_size") | {"after": fingerprint_of(after)}
