"""What each rule reads, from the values of its wildcards: the edges of the graph of jobs.

The arguments have the names of the wildcards of the rules.
"""

from __future__ import annotations

from collections.abc import Iterable

from cocon.config.schema import Config
from cocon.datasets.splits import ANY
from cocon.pretrainings import RANDOM
from cocon.protocols import PROTOCOLS
from cocon.workflow.evaluated import Cell, cells_of
from cocon.workflow.lists import VideoLists
from cocon.workflow.paper import paper_cells
from cocon.workflow.paths import Paths


class JobInputs:
    """The files that jobs read.

    Args:
        config: the configuration.
        lists: the videos of its data sets.
    """

    def __init__(self, config: Config, lists: VideoLists) -> None:
        self.config = config
        self.lists = lists
        self.paths = Paths(config)

    # ------------------------------------------------------------------------- videos and shards

    def rendered(self, dataset: str, shard: str = "") -> list[str]:
        """The videos of a demo, or of one of its shards. Other videos exist already, and are identified by
        size and time.

        Raises:
            CoConError: the list of videos contradicts itself.
        """
        if not self.config.datasets[dataset].rendered:
            return []
        shards = self.lists.shards(dataset)
        chosen = [shards[int(shard)]] if shard else shards
        return [str(video.path) for videos in chosen for video in videos]

    def training_videos(self, dataset: str, run: str) -> str:
        """The table that pretraining reads, after a check that its videos fill a batch.

        Raises:
            CoConError: they do not, or too many files are missing.
        """
        self.lists.check_batches(dataset)
        return self.paths.training_videos(
            dataset, self.lists.part(dataset, self.paths.pretrained_on(dataset, run))
        )

    def manifest(self, dataset: str, split: str = ANY) -> str:
        """The table that an evaluation reads: of its split, or, for features, of the videos of any split."""
        return self.paths.manifest(dataset, self.lists.part(dataset, split))

    def all_shards(self, dataset: str) -> list[str]:
        """All shards of all views."""
        views = self.config.views_of(dataset)
        return [shard for view in views for shard in self.paths.shards(dataset, view)]

    def shards_of_first_view(self, dataset: str) -> list[str]:
        """All shards of one view, for what is the same in all."""
        return self.paths.shards(dataset, self.config.views_of(dataset)[0])

    # ------------------------------------------------------------------------------- evaluation

    def features_of_views(self, dataset: str, run: str, pretraining: str) -> list[str]:
        """The features of all views by one pretraining."""
        views = self.config.views_of(dataset)
        return [self.paths.features(dataset, run, pretraining, view) for view in views]

    def fused(self, dataset: str, run: str, pretraining: str, protocol: str, split: str) -> list[str]:
        """What the ensemble of a protocol is made of: the views' features, or their scores."""
        if self._joined(dataset, protocol):
            return self.features_of_views(dataset, run, pretraining)
        views = self.config.views_of(dataset)
        return [self.paths.scores(dataset, run, pretraining, view, protocol, split) for view in views]

    def manifest_of_joined(self, dataset: str, protocol: str, split: str) -> list[str]:
        """The labels of joined features; scores have them."""
        return [self.manifest(dataset, split)] if self._joined(dataset, protocol) else []

    def _joined(self, dataset: str, protocol: str) -> bool:
        return bool(PROTOCOLS[self.config.recipe_of(dataset).evaluation.kind(protocol)].joined)

    def all_metrics(self, dataset: str) -> list[str]:
        """The metrics of all encoders, views, protocols and splits of a data set.

        Raises:
            CoConError: a split has no labelled videos to train or to test with, or a class lacks one of them.
        """
        self.lists.check_labels(dataset)
        return self._metrics(dataset, cells_of(self.paths, dataset, self.lists.splits(dataset)))

    def paper_cells(self, dataset: str) -> list[str]:
        """The metrics behind the cells of the paper's table that belong to a data set.

        Raises:
            CoConError: as of :meth:`all_metrics`.
        """
        self.lists.check_labels(dataset)
        return self._metrics(dataset, paper_cells(self.paths, dataset, self.lists.splits(dataset)))

    def _metrics(self, dataset: str, cells: Iterable[Cell]) -> list[str]:
        return [self.paths.metrics(dataset, *cell) for cell in cells]

    # ------------------------------------------------------------------------- targets and exports

    def chosen_encoders(self, dataset: str) -> list[str]:
        """The encoders that ``pretrain_<dataset>`` is for: of one pretraining, for all splits."""
        chosen = self.config.recipe_of(dataset).evaluation.chosen
        runs = dict.fromkeys(
            self.paths.run_for(dataset, chosen, split) for split in self.lists.splits(dataset)
        )
        views = self.config.views_of(dataset)
        return [path for run in runs for path in self.paths.encoders(dataset, run, chosen, views)]

    def exported_encoders(self, dataset: str, pretraining: str) -> list[str]:
        """The encoders of all views of a data set by one pretraining."""
        return self.paths.encoders(dataset, "", pretraining, self.config.views_of(dataset))

    def exported_shards(self, dataset: str, pretraining: str) -> list[str]:
        """The shards with the settings of the extraction, for random encoders, whose files lack them."""
        return self.all_shards(dataset) if pretraining == RANDOM else []

    def exported_summary(self, dataset: str, pretraining: str) -> list[str]:
        """The accuracies of what is exported, if its model card is to have them."""
        settings = self.config.datasets[dataset]
        evaluated = pretraining in self.config.recipe_of(dataset).evaluation.pretrainings
        shown = settings.card_accuracies and evaluated and not settings.pretrain_on
        return [self.paths.summary(dataset)] if shown else []
