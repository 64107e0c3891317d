"""Protocols that judge a pretrained encoder by the labels of a data set.

A new protocol on cached features is one module with ``evaluate(task, split, features, settings)``, one
line here, one section of settings, one command and one test.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ProtocolInfo:
    """A protocol: the heading of its table, and what the ensemble of the views is fused from."""

    title: str
    fused_from: Literal["scores", "features"]


PROTOCOLS: dict[str, ProtocolInfo] = {
    "linear": ProtocolInfo("Linear probe, top-1", fused_from="scores"),
    "retrieval": ProtocolInfo("Retrieval, R@1", fused_from="features"),
    "finetune": ProtocolInfo("Fine-tuning, top-1", fused_from="scores"),
}
