"""Of each section of the configuration, the keys that a stage depends on.

The documents of :mod:`cocon.workflow.documents`, by which the rules find what must run again, and those by
which a training finds its unfinished state, are made of these. Defaults are left out, so that a new key of
the schema changes no document.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Protocol

from pydantic import BaseModel

from cocon.config.schema import Augmentation, Clip, Finetune, Loss, Network, Pretraining, Probing, Running
from cocon.encoders import SHAPE
from cocon.pretrainings import PREDICTIONS, PRESETS, TERMS, WITHOUT_STAGE1, keys_read
from cocon.views import VIEWS

Document = dict[str, Any]

RUNNING: frozenset[str] = frozenset({*Running.model_fields, *Probing.model_fields})
"""Keys that set how a training runs and do not change its result."""


class Learning(Protocol):
    """The sections that pretraining depends on: of a recipe, or of ``cocon pretrain --settings``."""

    @property
    def clip(self) -> Clip:
        """What the network sees."""

    @property
    def network(self) -> Network:
        """What it is."""

    @property
    def pretraining(self) -> Pretraining:
        """How it is trained."""


def changed(section: BaseModel, without: Collection[str] = ()) -> Document:
    """The keys of a section that differ from their defaults, and from what counts as the default."""
    same = {
        key for key, value in getattr(section, "as_default", {}).items() if getattr(section, key) == value
    }
    exclude = {*without, *same}
    return section.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=exclude)


def clip_settings(clip: Clip, views: Sequence[str], without: Collection[str] = ()) -> Document:
    """The section ``clip``, with the crops of these views only."""
    document = changed(clip, {"crop", *without})
    usual: dict[str, int] = dict(Clip().crop.items())
    crops: dict[str, int] = {view: size for view, size in clip.crop.items() if view in views}
    if any(size != usual[view] for view, size in crops.items()):
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
    if not any(VIEWS[view].content == "photograph" for view in views):
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


def pooling(learning: Learning, preset: str, views: Sequence[str]) -> Document:
    """How the loss pools maps of locations; empty if it is the original way.

    Originally, maps of all sizes but these were averaged as a whole.
    """
    sizes = {
        learning.network.of(view).entry.locations(size)
        for view, size in learning.clip.crop.items()
        if view in views
    }
    compares = len(views) > 1 and any(TERMS[name].of != PREDICTIONS for name in PRESETS[preset].terms)
    return {"pooling": 2} if compares and not sizes <= {1, 2, 3, 4, 7} else {}


def training_settings(section: Finetune) -> Document:
    """The keys of fine-tuning that decide what is learned; keys of the test are not included."""
    return changed(section, {*RUNNING, "like", "test_crops", *section.idle})
