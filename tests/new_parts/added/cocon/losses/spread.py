"""L_spread: how unequal the instances of two views are spread."""

from __future__ import annotations

from torch import Tensor

from cocon.config.schema import Loss


def spread_term(ha_MD: Tensor, hb_MD: Tensor, loss: Loss) -> Tensor:
    """The squared difference of both views' mean cosines, as a term of kind ``PAIRS``."""
    return ((ha_MD @ ha_MD.T).mean() - (hb_MD @ hb_MD.T).mean()).square()
