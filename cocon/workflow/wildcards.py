"""The values that wildcards of rules can have, as regular expressions."""

from __future__ import annotations

import re
from collections.abc import Iterable

from cocon.config.schema import Config
from cocon.protocols import that_read
from cocon.workflow.documents.extraction import passes

RUN = r"(seed\d+/)?(split\w+/)?"
"""A seed or a split with encoders of its own has a folder of its own."""


def any_of(names: Iterable[str]) -> str:
    """Any of the names; if there is none, it never matches."""
    return "|".join(map(re.escape, names)) or "(?!)"


def rendered(config: Config) -> list[str]:
    """The data sets whose videos are rendered."""
    return [name for name, settings in config.datasets.items() if settings.rendered]


def rendering(config: Config) -> dict[str, str]:
    """The data sets that videos are rendered for, with what their rules' names end in: nothing for the first.

    Those with the shards of another one have its videos.
    """
    names = [name for name in rendered(config) if config.owner_of_shards(name) == name]
    return {name: f"_{name}" if number else "" for number, name in enumerate(names)}


def published(config: Config) -> list[str]:
    """The data sets that can be downloaded."""
    return [name for name, settings in config.datasets.items() if settings.published]


def datasets_of(config: Config, ablations: Iterable[str]) -> str:
    """In paths of ablations' results the data set of each: no other matches before its name."""
    found = [(re.escape(config.ablations[name].dataset), re.escape(name)) for name in ablations]
    return "|".join(f"{dataset}(?=/ablation_{name}[.])" for dataset, name in found) or "(?!)"


def extracting_persons_in_one_pass(config: Config) -> list[str]:
    """The data sets whose mask and pose come from one pass over the frames."""
    return [
        name
        for name in config.datasets
        if ("pose", "mask") in passes(config.recipe_of(name), config.views_of(name))
    ]


def protocols_that_read(config: Config, *what: str) -> list[str]:
    """The built-in protocols that read features or frames, and those of any recipe that are like them.

    Args:
        config: the configuration.
        what: ``FEATURES``, ``FRAMES`` or both of :mod:`cocon.protocols`.
    """
    kinds = [name for each in what for name in that_read(each)]
    own = {
        name: protocol.like
        for recipe in config.recipes.values()
        for name, protocol in recipe.evaluation.own.items()
    }
    return [*kinds, *(name for name, kind in own.items() if kind in kinds)]
