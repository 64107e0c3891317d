"""L_sim: a hinge loss that pulls an instance to itself in the other view and pushes it from all others.

Source: Rai et al. 2021, arXiv 2104.14764; the equation is printed in US 2022/0180101.
"""

from __future__ import annotations

from torch import Tensor

from cocon.config.schema import Loss
from cocon.losses.infonce import infonce_loss
from cocon.losses.instances import check_instances


def sim_loss(ha_MD: Tensor, hb_MD: Tensor, margin: float = 1.0) -> Tensor:
    """Balanced hinge on the distance 1 - cos between instances of two views.

    With equal weight for the M positive and the M (M - 1) negative pairs it is
    0.5 * mean over i of (1 - cos_ii) + 0.5 * mean over i != j of max(0, margin - (1 - cos_ij)). Other
    blocks of the same video are negatives. When all cosines are equal and above 1 - margin, the loss is
    margin / 2.

    Args:
        ha_MD: instances of one view, L2-normalised.
        hb_MD: the same instances in another view, L2-normalised.
        margin: mu, the distance beyond which different instances add no loss.

    Raises:
        ValueError: if the shapes differ or M < 2, so that there is no negative pair.
    """
    check_instances(ha_MD, hb_MD)
    instances = len(ha_MD)
    if instances < 2:
        raise ValueError("L_sim needs at least 2 instances: with one there are no negatives")
    cosines = ha_MD @ hb_MD.t()
    same = cosines.diagonal()
    too_near = cosines.sub(1 - margin).relu()
    different = (too_near.sum() - too_near.diagonal().sum()) / (instances * (instances - 1))
    return 0.5 * (1 - same).mean() + 0.5 * different


def sim_term(ha_MD: Tensor, hb_MD: Tensor, loss: Loss) -> Tensor:
    """L_sim of the kind that is configured, as a term of kind ``PAIRS``."""
    if loss.sim == "hinge":
        return sim_loss(ha_MD, hb_MD, loss.margin)
    return infonce_loss(ha_MD, hb_MD, loss.contrast_temperature)
