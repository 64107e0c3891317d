"""Where an extractor's inference runs, and by which network."""

from __future__ import annotations

from pydantic import BaseModel

from cocon.backends import BACKENDS
from view_extractors.base import Extractor, Resources, SharedNetwork
from view_extractors.networks.devices import uses_gpu


def on_gpu(extractor: Extractor, resources: Resources) -> bool:
    """Whether an extractor's inference runs on a GPU."""
    entry = BACKENDS.get(extractor.view, {}).get(extractor.backend)
    return entry is not None and entry.may_use_gpu(resources.device) and uses_gpu(resources)


def frames_at_once(gpu: bool) -> int:
    """Frames per batch by default: few leave a GPU mostly idle, and a CPU gains nothing by many."""
    return 64 if gpu else 16


NetworkKey = tuple[type[SharedNetwork], BaseModel | None]


def network_key(extractor: Extractor) -> NetworkKey | None:
    """Extractors with the same key share a network."""
    return (extractor.network, extractor.options) if extractor.network else None
