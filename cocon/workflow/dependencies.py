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
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

from pydantic import BaseModel

from cocon.backends import backend_named
from cocon.config.layers import merged
from cocon.config.schema import (
    Augmentation,
    Clip,
    Evaluation,
    Finetune,
    Loss,
    Network,
    PretrainingJob,
    Recipe,
    ViewExtraction,
)
from cocon.config.schema import Pretraining as PretrainingSection
from cocon.encoders import SHAPE
from cocon.pretrainings import PRESETS, WITHOUT_STAGE1, keys_read
from cocon.protocols import PROTOCOLS
from cocon.versions import EXTRACTION, STAGES, version_of
from cocon.views import VIEWS
from cocon.workflow.running import RUNNING

Document = dict[str, Any]

_FIRST_BACKENDS = {"flow": "tvl1", "mask": "blazepose", "pose": "blazepose"}
_SOURCE = {"kind", "videos", "lists", "archives", "from_archives"}
_NOT_RENDERED = {"kind", "recipe", "shards", "splits", "views", "shards_of", "pretrain_on", "pretrain_split"}
_NOT_RENDERED |= {"track_videos", "card_accuracies", "compare_backends", "evaluate_on", "root"}


class Learning(Protocol):
    """The sections that pretraining depends on: of a recipe, or of ``cocon pretrain --settings``."""

    @property
    def clip(self) -> Clip:
        """What the network sees."""

    @property
    def network(self) -> Network:
        """What it is."""

    @property
    def pretraining(self) -> PretrainingSection:
        """How it is trained."""


def canonical(document: Mapping[str, Any]) -> str:
    """A document as JSON that is equal for equal documents."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def fingerprint_of(document: Mapping[str, Any]) -> str:
    """16 hexadecimal digits that identify a document."""
    return hashlib.sha256(canonical(document).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def changed(section: BaseModel, without: Collection[str] = ()) -> Document:
    """The keys of a section that differ from their defaults."""
    return section.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=set(without))


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
    """The section of a view, without what its backend does not read."""
    section: ViewExtraction = getattr(recipe.extraction, view)
    return changed(section, section.idle)


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


def clip_settings(clip: Clip, views: Sequence[str], without: Collection[str] = ()) -> Document:
    """The section ``clip``, with the crops of these views only."""
    document = changed(clip, {"crop", *without})
    usual: dict[str, int] = dict(Clip().crop.items())
    crops: dict[str, int] = {view: size for view, size in clip.crop.items() if view in views}
    if any(size != usual.get(view) for view, size in crops.items()) or len(crops) < len(views):
        document["crop"] = crops
    return {"clip": document} if document else {}


def network_settings(network: Network, views: Sequence[str]) -> Document:
    """The section ``network``, with what belongs to these views only."""
    if len(views) == 1:
        document = changed(network.of(views[0]))
    else:
        document = changed(network, {"encoder", *SHAPE, "views"})
        own = {view: changed(network.of(view)) for view in views}
        shapes = {
            view: {key: value for key, value in keys.items() if key in ("encoder", *SHAPE)}
            for view, keys in own.items()
        }
        if shapes := {view: shape for view, shape in shapes.items() if shape}:
            document["views"] = shapes
    return {"network": document} if document else {}


def loss_settings(loss: Loss, preset: str, views: Sequence[str]) -> Document:
    """The keys of the loss that the terms of a preset read."""
    read = keys_read(preset, loss.model_dump(), together=len(views) > 1)
    return {key: value for key, value in changed(loss).items() if key in read}


def augmentation_settings(augmentation: Augmentation, views: Sequence[str]) -> Document:
    """The keys of the augmentation that act on these views."""
    idle = {f"{view}_flip" for view in VIEWS if view not in views}
    resized = [view for view in augmentation.resized_crop if view in views]
    if "rgb" not in views:
        idle |= {"grey", "brightness", "contrast", "saturation", "hue"}
    if not resized:
        idle |= {"crop_area", "crop_aspect"}
    if not any(VIEWS[view].sparse for view in views):
        idle |= {"crop_candidates"}
    document = changed(augmentation, {*idle, *augmentation.idle, "resized_crop"})
    return document | ({"resized_crop": resized} if resized else {})


def pretraining_settings(
    learning: Learning, stage: str, preset: str, views: Sequence[str], processes: int = 1
) -> Document:
    """Sections ``clip``, ``network`` and ``pretraining`` of one stage, with what it reads of them.

    Args:
        learning: the sections.
        stage: ``stage1`` or ``stage2``.
        preset: terms of the loss.
        views: that are trained together.
        processes: that train together.
    """
    settings = learning.pretraining
    idle = {*RUNNING, *settings.idle, "stage1", "stage2", "loss", "augmentation"}
    if processes == 1:
        idle |= {"sync_batch_norm"}
    document = changed(settings, idle)
    parts = {stage: changed(getattr(settings, stage))}
    if stage == "stage2" and preset in WITHOUT_STAGE1:
        parts["stage1"] = {
            key: v for key, v in changed(settings.stage1).items() if key in ("epochs", "steps")
        }
    parts["loss"] = loss_settings(settings.loss, preset, views)
    parts["augmentation"] = augmentation_settings(settings.augmentation, views)
    document |= {name: part for name, part in parts.items() if part}
    return {
        **clip_settings(learning.clip, views),
        **network_settings(learning.network, views),
        **({"pretraining": document} if document else {}),
    }


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


def pooling(learning: Learning, preset: str, views: Sequence[str]) -> Document:
    """How the loss pools maps of locations, where it is not as it has always been; empty otherwise.

    Maps of all sizes but these were averaged as a whole at first.
    """
    sizes = {
        learning.network.of(view).entry.locations(size)
        for view, size in learning.clip.crop.items()
        if view in views
    }
    compares = len(views) > 1 and set(PRESETS[preset].terms) != {"cpc"}
    return {"pooling": 2} if compares and not sizes <= {1, 2, 3, 4, 7} else {}


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


def training_settings(section: Finetune) -> Document:
    """The keys of fine-tuning that decide what is learned; how it is tested is none of them."""
    return changed(section, {*RUNNING, "like", "test_crops", *section.idle})


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
    if weights != {view: usual.get(view) for view in views}:
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
    if crops := {view: size for view, size in recipe.clip.crop.items() if view in views}:
        document["clip"] = clip | {"crop": {**Clip().crop, **crops}}
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
        document["ensemble"] = {**Evaluation().ensemble, **own}
    return document


def _without_empty(document: Mapping[str, Any]) -> Document:
    return {
        key: _without_empty(value) if isinstance(value, Mapping) else value
        for key, value in document.items()
        if value or not isinstance(value, Mapping)
    }
