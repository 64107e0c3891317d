"""Nearest classes in each view, their agreement, and a tree of all classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from markupsafe import Markup

from cocon.config.schema import Network
from cocon.evaluation.features import Features
from cocon.evaluation.published import AGREEING_CLASSES
from cocon.evaluation.relations import ClassRelations, relate
from cocon.report.dendrogram import draw_tree
from cocon.report.inputs import UNREADABLE, Inputs, PageSection, order_pretrainings, reason
from cocon.views import VIEWS


@dataclass(frozen=True)
class Agreement:
    """Of how many classes the views agree about the nearest classes, for one encoder."""

    pretraining: str
    agreeing: int
    shared: float
    published: int | None


@dataclass(frozen=True)
class ClassNeighbours:
    """A class; ``nearest[view]`` are (class, whether all views have it), best first."""

    name: str
    shared: int
    nearest: dict[str, list[tuple[str, bool]]]


@dataclass
class RelationsSection(PageSection):
    """Agreement of every encoder, and the nearest classes of the one that is shown."""

    pretraining: str = ""
    views: tuple[str, ...] = ()
    neighbours: int = 0
    wanted: int = 0
    classes: int = 0
    chance: float = 0.0
    agreements: list[Agreement] = field(default_factory=list)
    rows: list[ClassNeighbours] = field(default_factory=list)
    tree: Markup | None = None


def section(inputs: Inputs) -> RelationsSection:
    """Relate the classes of the test videos by every encoder whose features there are."""
    page = RelationsSection("relations", "Classes that are alike", "Classes", pretraining=inputs.pretraining)
    settings = inputs.settings.recipe.evaluation.relations
    page.neighbours, page.wanted = settings.neighbours, settings.shared
    page.views, page.missing = inputs.views_with_features(inputs.pretraining)
    if not page.views:
        return page
    try:
        split = inputs.split()
        found = relate(split, _tables(inputs, inputs.pretraining, page.views), settings)
    except UNREADABLE as error:
        page.missing.append(
            f"The relations between classes by {inputs.pretraining} are not known ({reason(error)})."
        )
        return page
    page.classes, page.chance = len(found.classes), found.chance
    if found.collapsed:
        page.missing.append(
            f"All classes have the same features in {', '.join(found.collapsed)}, so no class is nearer than "
            "another there, and the views agree about none."
        )
    page.rows, page.tree = _rows(found), _tree(inputs, found)
    for name in order_pretrainings({path.name for path in (inputs.results / "features").glob("*")}):
        try:
            same = name == inputs.pretraining
            other = found if same else relate(split, _tables(inputs, name, page.views), settings)
        except UNREADABLE:
            continue
        published = AGREEING_CLASSES.get(name) if as_published(inputs) else None
        page.agreements.append(Agreement(name, other.agreeing, float(other.shared.mean()), published))
    return page


def _tables(inputs: Inputs, pretraining: str, views: Sequence[str]) -> dict[str, Features]:
    return {view: inputs.features(pretraining, view) for view in views}


def as_published(inputs: Inputs) -> bool:
    """Whether the paper counted in the same way: on UCF101, 4 of 5, four views of its networks."""
    settings, network = inputs.settings.recipe.evaluation.relations, inputs.settings.recipe.network
    return (
        inputs.settings.kind == "ucf101"
        and (settings.neighbours, settings.shared) == (5, 4)
        and all(network.of(view) == Network(dropout=network.dropout) for view in VIEWS)
    )


def _rows(found: ClassRelations) -> list[ClassNeighbours]:
    rows = []
    for number, name in enumerate(found.classes):
        common = set.intersection(*(set(nearest_CK[number]) for nearest_CK in found.nearest.values()))
        nearest = {
            view: [(found.classes[other], other in common) for other in nearest_CK[number]]
            for view, nearest_CK in found.nearest.items()
        }
        rows.append(ClassNeighbours(name, int(found.shared[number]), nearest))
    return sorted(rows, key=lambda row: (-row.shared, row.name))


def _tree(inputs: Inputs, found: ClassRelations) -> Markup:
    """Of the cosines of all views, weighted as in the late fusion."""
    weights: dict[str, float] = dict(inputs.settings.recipe.evaluation.ensemble.items())
    parts = [weights.get(view, 0.0) for view in found.cosines]
    total = sum(parts)
    shares = [part / total for part in parts] if total > 0 else [1 / len(parts)] * len(parts)
    cosines_CC = sum(share * cosines for share, cosines in zip(shares, found.cosines.values(), strict=True))
    return draw_tree(np.asarray(cosines_CC), found.classes)
