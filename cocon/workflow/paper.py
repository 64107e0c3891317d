"""Which cells of the paper's table of results a data set fills."""

from __future__ import annotations

from typing import Any

from cocon.config.schema import Config, Network
from cocon.evaluation.paper import NETWORKS, Setting, wanted
from cocon.pretrainings import RANDOM
from cocon.workflow.paths import Paths


def setting_of(config: Config, dataset: str) -> Setting:
    """What a published figure must have in common with a result to be compared with it."""
    source = config.trained_on(dataset)
    network = config.recipe_of(source).network.of("rgb")
    return Setting(
        kind=config.datasets[dataset].kind,
        pretrained_on=config.datasets[source].kind,
        layers=network.layers,
        pixels=config.recipe_of(dataset).clip.crop.get("rgb", 1),
        views=len(config.views_of(source)),
        **_shape(network),
    )


def _shape(network: Network) -> dict[str, Any]:
    """What else of a network counts: nothing where its layers already are those of no published figure."""
    return network.model_dump(include={"encoder", "width", "features"}) if network.layers in NETWORKS else {}


def paper_cells(config: Config, dataset: str) -> list[tuple[str, str]]:
    """Pretraining and view of the cells that belong to a data set."""
    cells = wanted(setting_of(config, dataset))
    if config.datasets[dataset].shards_of:  # what owns the shards has the same random networks
        return [(pretraining, view) for pretraining, view in cells if pretraining != RANDOM]
    return cells


def paper_metrics(paths: Paths, dataset: str) -> list[str]:
    """The metrics behind these cells."""
    return [
        paths.metrics(
            dataset, paths.run_for(dataset, pretraining, split), pretraining, view, "finetune", split
        )
        for pretraining, view in paper_cells(paths.config, dataset)
        for split in paths.config.datasets[dataset].splits
    ]
