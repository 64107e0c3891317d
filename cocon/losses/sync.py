"""L_sync: the difference between the similarity matrices of two views.

Source: Rai et al. 2021, arXiv 2104.14764; the equation is printed in US 2022/0180101.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from cocon.config.schema import Loss
from cocon.losses.instances import check_instances


def sync_loss(ha_MD: Tensor, hb_MD: Tensor, kind: Literal["l1", "squared"] = "l1") -> Tensor:
    """Mean distance between the cosine matrices W_a and W_b (M, M) of two views.

    Gradient flows to both views. Used alone this loss collapses: it is 0 when all instances are equal.

    Args:
        ha_MD: instances of one view, L2-normalised.
        hb_MD: the same instances in another view, L2-normalised.
        kind: "l1" for |W_a - W_b|, "squared" for (W_a - W_b)^2.

    Raises:
        ValueError: if the shapes differ or there is no such kind.
    """
    check_instances(ha_MD, hb_MD)
    difference = ha_MD @ ha_MD.t() - hb_MD @ hb_MD.t()
    if kind == "l1":
        return difference.abs().mean()
    if kind == "squared":
        return difference.square().mean()
    raise ValueError(f"kind must be 'l1' or 'squared', not {kind!r}")


def sync_term(ha_MD: Tensor, hb_MD: Tensor, loss: Loss) -> Tensor:
    """L_sync as a term of kind ``PAIRS``."""
    return sync_loss(ha_MD, hb_MD, loss.sync)
