"""Which cells of the paper's table of results a data set fills."""

from __future__ import annotations

from cocon.config.schema import Config
from cocon.evaluation.paper import Setting, wanted
from cocon.workflow.paths import Paths


def setting_of(config: Config, dataset: str) -> Setting:
    """What a published figure must have in common with a result to be compared with it."""
    source = config.trained_on(dataset)
    return Setting(
        kind=config.datasets[dataset].kind,
        pretrained_on=config.datasets[source].kind,
        layers=config.recipe_of(source).network.of("rgb").layers,
        pixels=config.recipe_of(dataset).clip.crop.get("rgb", 1),
        views=len(config.views_of(source)),
    )


def paper_metrics(paths: Paths, dataset: str) -> list[str]:
    """The metrics behind the cells that belong to a data set."""
    config = paths.config
    settings = config.datasets[dataset]
    cells = wanted(setting_of(config, dataset))
    if settings.shards_of:  # what owns the shards has the same random networks
        cells = [(pretraining, view) for pretraining, view in cells if pretraining != "random"]
    return [
        paths.metrics(dataset, "", pretraining, view, "finetune", split)
        for pretraining, view in cells
        for split in settings.splits
    ]
