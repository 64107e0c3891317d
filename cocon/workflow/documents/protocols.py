"""Which keys of a recipe the results of an evaluation depend on."""

from __future__ import annotations

from collections.abc import Sequence

from cocon.config.schema import Evaluation, Finetune, Recipe
from cocon.config.selection import Document, changed, clip_settings, training_settings
from cocon.protocols import PROTOCOLS
from cocon.versions import STAGES, version_of


def features(recipe: Recipe, view: str) -> Document:
    """Features of videos from an encoder."""
    clip = clip_settings(recipe.clip, [view], without={"predicted_blocks"})
    return {"version": STAGES["features"], "settings": clip}


def protocol_settings(evaluation: Evaluation, protocol: str) -> Document:
    """A protocol's own section under the name of its kind, and ``bootstrap``."""
    section = evaluation.section(protocol)
    if isinstance(section, Finetune):
        tested = {key: value for key, value in changed(section).items() if key == "test_crops"}
        document = training_settings(section) | tested
    else:
        document = changed(section, {"like"})
    return _filled({evaluation.kind(protocol): document}, evaluation)


def _filled(document: Document, evaluation: Evaluation) -> Document:
    """Without empty sections, and with the number of resamples."""
    return {name: part for name, part in document.items() if part} | {
        key: value for key, value in changed(evaluation).items() if key == "bootstrap"
    }


def protocol(recipe: Recipe, name: str, view: str, seed: int) -> Document:
    """The metrics of a protocol on one view."""
    evaluation = recipe.evaluation
    kind = evaluation.kind(name)
    settings = protocol_settings(evaluation, name)
    if isinstance(evaluation.section(name), Finetune):
        settings |= clip_settings(recipe.clip, [view], without={"predicted_blocks"})
        return {"version": STAGES["finetune"], "kind": kind, "settings": settings, "seed": seed}
    return {"version": version_of(kind), "settings": settings, "seed": seed}


def fusion(recipe: Recipe, name: str, views: Sequence[str], seed: int) -> Document:
    """The metrics of a protocol on all views together."""
    evaluation = recipe.evaluation
    usual: dict[str, float] = dict(Evaluation().ensemble.items())
    weights: dict[str, float] = {view: w for view, w in evaluation.ensemble.items() if view in views}
    document: Document = {}
    if weights != {view: usual[view] for view in views}:
        document["ensemble"] = weights
    kind = evaluation.kind(name)
    if PROTOCOLS[kind].joined:
        document |= {kind: changed(evaluation.section(name), {"like"})}
    settings = _filled(document, evaluation)
    return {"version": STAGES["ensemble"], "kind": kind, "settings": settings, "seed": seed}


def relations(recipe: Recipe, seed: int) -> Document:
    """The relations of the classes in each view."""
    part = changed(recipe.evaluation.relations)
    settings = {"relations": part} if part else {}
    return {"version": STAGES["relations"], "settings": settings, "seed": seed}
