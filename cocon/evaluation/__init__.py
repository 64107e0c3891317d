"""Protocols that evaluate a pretrained encoder with the labels of a data set.

A new protocol on cached features is one module with ``evaluate(task, split, features, settings)``, one
line here, one section of settings, one command and one test. A new way to train with labels is a section of
settings like :class:`cocon.config.schema.FinetuneDpc`, or one under ``own`` in the configuration.
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
    "linear_sgd": ProtocolInfo("Linear layer trained by SGD, top-1", fused_from="scores"),
    "retrieval": ProtocolInfo("Retrieval, R@1", fused_from="features"),
    "finetune": ProtocolInfo("Fine-tuning, top-1", fused_from="scores"),
    "finetune_dpc": ProtocolInfo("Fine-tuning as in DPC, top-1", fused_from="scores"),
    "finetune_memdpc": ProtocolInfo("Fine-tuning as in MemDPC, top-1", fused_from="scores"),
    "finetune_coclr": ProtocolInfo("Fine-tuning as in CoCLR, top-1", fused_from="scores"),
}
