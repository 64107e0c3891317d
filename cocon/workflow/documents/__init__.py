"""What each result depends on: settings, seed, version of the stage, and the results that it was made of.

A document is JSON-like. The rules give it to Snakemake, which makes a result again when its document changes,
and take the ``--settings`` of the commands from it. A key that is missing here changes no result. Defaults
are left out, so that a new key of the schema changes no document (see also :mod:`cocon.versions`).

Each module has a topic: functions from a recipe to the settings that count, and a class that adds, under
``after``, what identifies the documents of the results that are read. So a result is planned again until it
was made from the current configuration. (Snakemake alone does not do so after an intermediate job fails: it
removes the output of that job, and does not make it again, since the later results still exist.)

The arguments of a document's method have the names of the wildcards of its rule.
"""

from __future__ import annotations

from cocon.config.schema import Config
from cocon.workflow.documents.encoders import EncoderDocuments
from cocon.workflow.documents.evaluation import EvaluationDocuments
from cocon.workflow.documents.extraction import ExtractionDocuments
from cocon.workflow.documents.report import ReportDocuments
from cocon.workflow.documents.tables import TableDocuments
from cocon.workflow.documents.videos import VideoDocuments
from cocon.workflow.lists import VideoLists


class Documents:
    """The documents of all results of a configuration.

    Args:
        config: the configuration.
        lists: the videos of its data sets.

    Attributes:
        videos: videos and their tables.
        extraction: shards.
        encoders: pretraining.
        evaluation: features, metrics, and other analyses of encoders.
        tables: what compares many metrics.
        report: the page.
    """

    def __init__(self, config: Config, lists: VideoLists) -> None:
        self.videos = VideoDocuments(config, lists)
        self.extraction = ExtractionDocuments(config, lists, self.videos)
        self.encoders = EncoderDocuments(config, self.videos, self.extraction)
        self.evaluation = EvaluationDocuments(config, self.videos, self.extraction, self.encoders)
        self.tables = TableDocuments(config, lists, self.videos, self.encoders, self.evaluation)
        self.report = ReportDocuments(config, self.tables)
