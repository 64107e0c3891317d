"""The page of a data set: all of the recipe that any of its results depends on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cocon.config.config_files import merged
from cocon.config.schema import Config, Evaluation, Recipe
from cocon.config.selection import Document, changed, pretraining_settings
from cocon.pretrainings import PRESETS
from cocon.workflow.documents.extraction import extraction_settings
from cocon.workflow.documents.fingerprints import fingerprint_of, of_stage
from cocon.workflow.documents.protocols import protocol_settings
from cocon.workflow.documents.tables import TableDocuments


def shown_in_report(recipe: Recipe, views: Sequence[str]) -> Document:
    """The recipe as far as any result of a data set depends on it: what its report shows."""
    evaluation = recipe.evaluation
    evaluated = dict.fromkeys(name for each in evaluation.protocols for name in evaluation.judged_by(each))
    presets = [name for name in evaluated if name in PRESETS]
    stages = [pretraining_settings(recipe, "stage1", "cpc", [view]) for view in views]
    stages += [pretraining_settings(recipe, "stage2", name, views) for name in presets]
    document = merged(*stages) | {"evaluation": _evaluation(evaluation, views)}
    document["network"] = changed(recipe.network)
    clip = document.get("clip", {})
    document["clip"] = clip | {
        "crop": {view: size for view, size in recipe.clip.crop.items() if view in views}
    }
    document["extraction"] = {view: extraction_settings(recipe, view) for view in views}
    return _without_empty(document)


def _evaluation(evaluation: Evaluation, views: Sequence[str]) -> Document:
    chosen = changed(evaluation)
    lists = {"pretrainings", "finetune_pretrainings", "protocols"}
    document: Document = {key: value for key, value in chosen.items() if key in lists}
    for name in evaluation.protocols:
        part = protocol_settings(evaluation, name)
        if name in evaluation.own:
            like = evaluation.kind(name)
            part = {"own": {name: {"like": like, **part.get(like, {})}}}
        document = merged(document, part)
    if "ensemble" in chosen and len(views) > 1:
        own = {view: w for view, w in chosen["ensemble"].items() if view in views}
        document["ensemble"] = own
    return document


def _without_empty(document: Mapping[str, Any]) -> Document:
    return {
        key: _without_empty(value) if isinstance(value, Mapping) else value
        for key, value in document.items()
        if value or not isinstance(value, Mapping)
    }


class ReportDocuments:
    """The documents of pages.

    Args:
        config: the configuration.
        tables: the documents of what the pages show.
    """

    def __init__(self, config: Config, tables: TableDocuments) -> None:
        self.config = config
        self.tables = tables

    def page(self, dataset: str) -> Document:
        """A report: its summary, and what it shows of the configuration."""
        section, recipe = self.config.datasets[dataset], self.config.recipe_of(dataset)
        document = of_stage(
            "report",
            {
                "kind": section.kind,
                "recipe_name": section.recipe,
                "recipe": shown_in_report(recipe, self.config.views_of(dataset)),
                "seed": self.config.seed,
            },
        )
        return document | {"after": fingerprint_of(self.tables.summary(dataset))}
