"""Tables and figures of many metrics: summary, the paper's table, ablations and their curves."""

from __future__ import annotations

from collections.abc import Iterable

from cocon.config.schema import Config
from cocon.config.selection import Document
from cocon.workflow.ablations import Ablations
from cocon.workflow.documents.encoders import EncoderDocuments
from cocon.workflow.documents.evaluation import EvaluationDocuments
from cocon.workflow.documents.fingerprints import fingerprint_of, of_stage
from cocon.workflow.documents.videos import VideoDocuments
from cocon.workflow.evaluated import Cell, cells_of
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
        return self._setting(dataset, cells_of(self.paths, dataset, self.lists.splits(dataset)))

    def paper_cells(self, dataset: str) -> Document:
        """The cells of the paper's table that belong to a data set."""
        return self._setting(dataset, paper_cells(self.paths, dataset, self.lists.splits(dataset)))

    def _setting(self, dataset: str, cells: Iterable[Cell]) -> Document:
        after = self._gathered(dataset, cells)
        setting = setting_of(self.config, dataset).model_dump(mode="json", exclude_defaults=True)
        return of_stage("summary", setting) | {"after": after}

    def _gathered(self, dataset: str, cells: Iterable[Cell]) -> str:
        """Identifies metrics of a data set. Where splits are one list, they are the same for all of them."""
        found = {}
        for cell in cells:
            where = f" split {cell.split}" if self.lists.apart(dataset) else ""
            name = f"{cell.run} {cell.pretraining} {cell.view} {cell.protocol}{where}"
            found[name] = self.evaluation.metrics(dataset, *cell)
        return fingerprint_of(found)

    def paper(self) -> Document:
        """The paper's table."""
        cells = {name: fingerprint_of(self.paper_cells(name)) for name in self.config.paper}
        return of_stage("summary") | {"after": fingerprint_of(cells)}

    def ablation(self, ablation: str) -> Document:
        """The table of an ablation."""
        settings = self.config.ablations[ablation]
        after = {
            "metrics": self._gathered(settings.dataset, self.ablations.cells(ablation)),
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
