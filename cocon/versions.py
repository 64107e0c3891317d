"""The version of the program, and the version of each stage's results.

Raise the version of a stage when the same settings give another result: its outputs and all that depend on
them are then recomputed. Do not raise it for changes that do not affect the result. Defaults of the
configuration count as well: a changed default changes results without a change in a user's settings.
"""

from __future__ import annotations

from cocon.backends import BACKENDS

__version__ = "0.1.0"

STAGES: dict[str, int] = {
    "get": 1,
    "render": 2,
    "pairs": 1,
    "index": 1,
    "initialise": 1,
    "pretrain": 1,
    "features": 1,
    "linear": 1,
    "retrieval": 1,
    "finetune": 1,
    "ensemble": 1,
    "relations": 1,
    "neighbours": 1,
    "frame_size": 1,
    "ablation": 1,
    "curves": 1,
    "summary": 1,
    "report": 1,
    "export": 1,
    "scores": 1,
    "backends": 2,
}
"""By stage; a protocol that reads features is one."""


def version_of(protocol: str) -> int:
    """The version of a protocol that reads features; 1 until its first change gives it an entry."""
    return STAGES.get(protocol, 1)


_RAISED = {"mask/detectron2": 2, "pose/detectron2": 2, "pose/torchvision": 2}
"""By view and backend, where it is not 1. Decoding belongs to all of them."""

EXTRACTION: dict[str, int] = {
    key: _RAISED.get(key, 1)
    for view, backends in BACKENDS.items()
    for key in (f"{view}/{name}" for name in backends)
}
"""By view and backend."""


def extraction_version(view: str, backend: str) -> int:
    """The version of a backend for a view, whose settings need not name it if it is the only one; 1 for those
    of other packages."""
    return EXTRACTION.get(f"{view}/{backend or next(iter(BACKENDS[view]))}", 1)
