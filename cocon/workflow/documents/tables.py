"""Tables and figures of many metrics: summary, the paper's table, ablations and their curves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cocon.config.schema import Config
from cocon.config.selection import Document
from cocon.workflow.ablations import Ablations
from cocon.workflow.documents.encoders import EncoderDocuments
from cocon.workflow.documents.evaluation import EvaluationDocuments
from cocon.workflow.documents.fingerprints import fingerprint_of, of_stage
from cocon.workflow.documents.videos import VideoDocuments
from cocon.workflow.lists import VideoLists
from cocon.workflow.paper import paper_cells, setting_of
from cocon.workflow.paths import Paths


class TableDocuments:
    """The documents of tables and figures.

    Args:
        config: the configuration.
        lists: the videos of its data sets.
        videos: the documents of their tables.
        encoders: the documents of the encoders.
        evaluation: the documents of the metrics.
    """

    def __init__(
        self,
        config: Config,
        lists: VideoLists,
        videos: VideoDocuments,
        encoders: EncoderDocuments,
        evaluation: EvaluationDocuments,
    ) -> None:
        self.config = config
        self.lists = lists
        self.videos = videos
        self.encoders = encoders
        self.evaluation = evaluation
        self.paths = Paths(config)
        self.ablations = Ablations(config, lists)

    def summary(self, dataset: str) -> Document:
        """All metrics of a data set, and the setting in which published figures can be compared with them."""
        evaluation = self.config.recipe_of(dataset).evaluation
        cells = (
            (pretraining, view, protocol)
            for protocol in evaluation.protocols
            for pretraining in evaluation.judged_by(protocol)
            for view in self.paths.views_and_ensemble(dataset)
        )
        return self._setting(dataset, cells)

    def paper_cells(self, dataset: str) -> Document:
        """The cells of the paper's table that belong to a data set."""
        cells = ((pretraining, view, "finetune") for pretraining, view in paper_cells(self.config, dataset))
        return self._setting(dataset, cells)

    def _setting(self, dataset: str, cells: Iterable[tuple[str, str, str]]) -> Document:
        after = self._gathered(dataset, cells, self.lists.splits(dataset))
        setting = setting_of(self.config, dataset).model_dump(mode="json", exclude_defaults=True)
        return of_stage("summary", setting) | {"after": after}

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
        apart = self.lists.apart(dataset)
        found = {}
        for pretraining, view, protocol in cells:
            for split in splits if apart else splits[:1]:
                for run in [self.paths.run_for(dataset, pretraining, split, seed) for seed in seeds]:
                    where = f" split {split}" if apart else ""
                    found[f"{run} {pretraining} {view} {protocol}{where}"] = self.evaluation.metrics(
                        dataset, run, pretraining, view, protocol, split
                    )
        return fingerprint_of(found)

    def paper(self) -> Document:
        """The paper's table."""
        cells = {name: fingerprint_of(self.paper_cells(name)) for name in self.config.paper}
        return of_stage("summary") | {"after": fingerprint_of(cells)}

    def ablation(self, ablation: str) -> Document:
        """The table of an ablation."""
        settings = self.config.ablations[ablation]
        cells = (
            (pretraining, view, protocol)
            for pretraining in settings.pretrainings
            for view in self.paths.views_and_ensemble(settings.dataset)
            for protocol in settings.protocols
        )
        splits, seeds = self.ablations.splits(ablation), self.ablations.seeds(ablation)
        after = {
            "metrics": self._gathered(settings.dataset, cells, splits, seeds),
            "videos": self.videos.table(settings.dataset, labels=True),
        }
        return of_stage("ablation") | {"after": fingerprint_of(after)}

    def curves(self, ablation: str) -> Document:
        """The figure of an ablation's trainings."""
        dataset = self.config.trained_on(self.config.ablations[ablation].dataset)
        after = {
            f"{run} {pretraining} {view}": self.encoders.encoder(dataset, run, pretraining, view)
            for run, names in self.ablations.trainings(ablation).items()
            for pretraining in names
            for view in self.config.views_of(dataset)
        }
        return of_stage("curves") | {"after": fingerprint_of(after)}
