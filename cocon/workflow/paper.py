"""Which cells of the paper's table of results a data set fills."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cocon.config.schema import Config, Network
from cocon.evaluation.paper import NETWORKS, Setting, wanted
from cocon.pretrainings import RANDOM
from cocon.workflow.evaluated import Cell
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


def paper_cells(paths: Paths, dataset: str, splits: Sequence[str]) -> list[Cell]:
    """The metrics behind the cells that belong to a data set."""
    found = wanted(setting_of(paths.config, dataset))
    if paths.config.datasets[dataset].shards_of:  # what owns the shards has the same random networks
        found = [(pretraining, view) for pretraining, view in found if pretraining != RANDOM]
    return [
        Cell(paths.run_for(dataset, pretraining, split), pretraining, view, "finetune", split)
        for pretraining, view in found
        for split in splits
    ]
