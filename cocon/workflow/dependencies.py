"""Which keys of the configuration each result depends on.

One function per stage. It returns a JSON-like document with everything that decides the result and is not a
file: settings that differ from their defaults, the seed, the version of the stage. The rules give it to
Snakemake, which makes a result again when its document changes, and take the ``--settings`` of the commands
from it. A key that is missing here changes no result.

Defaults are left out, so that a new key of the schema changes no document (see also
:mod:`cocon.versions`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from cocon.backends import backend_named
from cocon.config.config_files import merged
from cocon.config.schema import (
    Evaluation,
    Finetune,
    PretrainingJob,
    Recipe,
    ViewExtraction,
)
from cocon.config.selection import (
    Document,
    changed,
    clip_settings,
    network_settings,
    pooling,
    pretraining_settings,
    training_settings,
)
from cocon.pretrainings import PRESETS
from cocon.protocols import PROTOCOLS
from cocon.versions import EXTRACTION, STAGES, version_of
from cocon.views import VIEWS

_FIRST_BACKENDS = {"flow": "tvl1", "mask": "blazepose", "pose": "blazepose"}
_FIRST_CODEC = "dct"
_SOURCE = {"kind", "videos", "lists", "archives", "from_archives"}
_NOT_RENDERED = {"kind", "recipe", "shards", "splits", "views", "shards_of", "pretrain_on", "pretrain_split"}
_NOT_RENDERED |= {"track_videos", "card_accuracies", "compare_backends", "evaluate_on", "root"}


def canonical(document: Mapping[str, Any]) -> str:
    """A document as JSON that is equal for equal documents."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def fingerprint_of(document: Mapping[str, Any]) -> str:
    """16 hexadecimal digits that identify a document."""
    return hashlib.sha256(canonical(document).encode("utf-8", "surrogateescape")).hexdigest()[:16]


# ------------------------------------------------------------------------------------------ videos


def rendering(dataset: BaseModel) -> Document:
    """The rendered videos of a demo data set: their document."""
    return of_stage("render", changed(dataset, _NOT_RENDERED))


def pairs(dataset: BaseModel) -> Document:
    """The rendered videos with two persons in a frame: their document."""
    return of_stage("pairs", {key: value for key, value in changed(dataset).items() if key == "seed"})


def of_stage(stage: str, settings: Document | None = None) -> Document:
    """A result that depends on the version of its stage, some settings, and files."""
    return {"version": STAGES[stage], "settings": settings or {}}


def part_of_split(split: str) -> str:
    """In names of tables: the split (or ``common``, ``all``, ``any``) that they are limited to."""
    return f"_split{split}" if split.isdecimal() else f"_{split}" if split else ""


def split_of_part(part: str) -> str:
    """The inverse of :func:`part_of_split`."""
    return part.removeprefix("_").removeprefix("split")


def table(videos: str) -> Document:
    """A table of videos, which :class:`cocon.workflow.lists.VideoLists` identifies."""
    return {"version": STAGES["index"], "videos": videos}


def passes(recipe: Recipe, views: Sequence[str]) -> list[tuple[str, ...]]:
    """The views that a job extracts together: mask and pose, if their backends share a network."""
    together = ("pose", "mask")
    if set(together) <= set(views) and _share_a_network(recipe, together):
        return [*((view,) for view in views if view not in together), together]
    return [(view,) for view in views]


def _share_a_network(recipe: Recipe, views: Sequence[str]) -> bool:
    """Whether views come from one look at the frames: by one network, with equal settings of it."""
    first, *others = (_network(recipe, view) for view in views)
    return first is not None and all(other == first for other in others)


def _network(recipe: Recipe, view: str) -> tuple[str, Any] | None:
    """The network that views can share, and its settings: in its section, or in the backend's."""
    entry = backend_named(view, backend_of(recipe, view))
    own = getattr(getattr(recipe.extraction, view), entry.name, None)
    return (entry.network, getattr(own, entry.network, own)) if entry.network else None


def source(dataset: BaseModel) -> Document:
    """The videos of a public data set: where they come from, and where they go."""
    return of_stage("get", {key: value for key, value in changed(dataset).items() if key in _SOURCE})


def extraction_settings(recipe: Recipe, view: str) -> Document:
    """The section of a view, without what its backend does not read.

    It names a codec that is not the first default, whether or not it is the default now: see
    :func:`_with_backend`.
    """
    section: ViewExtraction = getattr(recipe.extraction, view)
    document = {key: value for key, value in changed(section, section.idle).items() if key != "codec"}
    codec = getattr(section, "codec", _FIRST_CODEC)
    return document if codec == _FIRST_CODEC else {"codec": codec, **document}


def extraction(recipe: Recipe, views: Iterable[str], videos: str) -> Document:
    """A shard of some views that are extracted in one pass.

    Args:
        recipe: of the data set.
        views: that the pass writes.
        videos: identifies the videos of the shard, see :mod:`cocon.workflow.lists`.
    """
    return {
        "videos": videos,
        **{
            view: {
                "version": EXTRACTION[backend_of(recipe, view) or view],
                "settings": _with_backend(recipe, view),
            }
            for view in views
        },
    }


def _with_backend(recipe: Recipe, view: str) -> Document:
    """The settings of a view, with its backend unless that is the one of documents that name none.

    Those were the first defaults. So a result that stays the same keeps its document when the default
    changes, or when it is named.
    """
    backend = backend_of(recipe, view)
    document = {key: value for key, value in extraction_settings(recipe, view).items() if key != "backend"}
    return document if backend == _FIRST_BACKENDS.get(view, "") else {"backend": backend, **document}


def backend_of(recipe: Recipe, view: str) -> str:
    """What infers a view; empty for rgb, which is decoded only."""
    return str(getattr(getattr(recipe.extraction, view), "backend", ""))


# ---------------------------------------------------------------------------------------- encoders


def pretraining(
    recipe: Recipe,
    stage: str,
    preset: str,
    views: Sequence[str],
    *,
    split: str,
    seed: int,
    job: PretrainingJob,
) -> Document:
    """The encoders of one training."""
    views = sorted(views, key=list(VIEWS).index)  # their order in the configuration changes nothing
    document = {
        "version": STAGES["pretrain"],
        "settings": pretraining_settings(recipe, stage, preset, views, job.processes),
        "views": list(views),
        "split": split,
        "seed": seed,
    }
    document |= {"processes": job.processes} if job.processes > 1 else {}
    return document | pooling(recipe, preset, views)


def initialisation(recipe: Recipe, view: str, seed: int) -> Document:
    """The encoder of a view before any training; its file says which clips it is for."""
    return {
        "version": STAGES["initialise"],
        "settings": {
            **clip_settings(recipe.clip, [view]),
            **network_settings(recipe.network, [view]),
        },
        "seed": seed,
    }


# -------------------------------------------------------------------------------------- evaluation


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
    """What the views say about the classes."""
    part = changed(recipe.evaluation.relations)
    settings = {"relations": part} if part else {}
    return {"version": STAGES["relations"], "settings": settings, "seed": seed}


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
