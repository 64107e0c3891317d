"""Versions of what each stage computes.

Raise one when the same settings give another result: everything that the stage made is then made again, and
what follows from it. Leave it alone when a change cannot be seen in the result. Defaults of the
configuration count as well: a changed default changes results without a trace in anybody's settings.
"""

from __future__ import annotations

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


EXTRACTION: dict[str, int] = {
    "rgb": 1,
    "tvl1": 1,
    "tvl1_opencv": 1,
    "dis": 1,
    "farneback": 1,
    "raft": 1,
    "movenet": 1,
    "selfie": 1,
    "blazepose": 1,
    "torchvision": 1,
    "detectron2": 2,
    "mmpose": 1,
}
"""By backend; ``rgb`` for the view that has none. Decoding belongs to all of them."""
