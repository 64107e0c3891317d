"""What the encoders of a pretraining are trained with: the terms of its loss, and where it starts.

The rows of the paper's ablation, and ``cmc``, the outside baseline: contrastive multiview coding (Tian et al.
2020, arXiv 1906.05849), which compares views and predicts nothing.
"""

from __future__ import annotations

RANDOM, STAGE1 = "random", "stage1"

TERMS: dict[str, tuple[str, ...]] = {
    "cpc": ("cpc",),
    "cpc_sync": ("cpc", "sync"),
    "cpc_sim": ("cpc", "sim"),
    "cocon": ("cpc", "sync", "sim"),
    "cmc": ("cmc",),
}
"""By preset of the loss its terms; each is a file in ``cocon/losses``."""

WITHOUT_STAGE1 = frozenset(name for name, terms in TERMS.items() if "cpc" not in terms)
"""Presets that predict nothing. L_cpc of stage 1 is no part of them: they start from random networks and
train for the epochs of both stages."""


def start_of(preset: str) -> str:
    """The encoders that stage 2 starts from: ``random`` or ``stage1``."""
    return RANDOM if preset in WITHOUT_STAGE1 else STAGE1
