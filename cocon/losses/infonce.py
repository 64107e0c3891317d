"""The InfoNCE loss between two views: the positive of an instance is itself in the other view.

Source: contrastive multiview coding (Tian et al. 2020, arXiv 1906.05849); in place of the hinge of L_sim in
the authors' follow-up of CoCon, HOMAGE (Rai et al. 2021, arXiv 2105.05226).
"""

from __future__ import annotations

from torch import Tensor

from cocon.config.schema import Loss
from cocon.losses.cross_entropy import matching_cross_entropy
from cocon.losses.instances import check_instances


def infonce_loss(ha_MD: Tensor, hb_MD: Tensor, temperature: float) -> Tensor:
    """Mean of the cross-entropies from view a to view b and back.

    0.5 * mean over i of (-log softmax_j(cos(a_i, b_j) / tau) at j = i) + the same with a and b exchanged.
    When all cosines are equal it is ln M.

    Args:
        ha_MD: instances of one view, L2-normalised.
        hb_MD: the same instances in another view, L2-normalised.
        temperature: tau, > 0.

    Raises:
        ValueError: if the shapes differ or the temperature is not positive.
    """
    check_instances(ha_MD, hb_MD)
    there, _ = matching_cross_entropy(ha_MD, hb_MD, temperature)
    back, _ = matching_cross_entropy(hb_MD, ha_MD, temperature)
    return 0.5 * (there + back)


def cmc_term(ha_MD: Tensor, hb_MD: Tensor, loss: Loss) -> Tensor:
    """L_cmc as a term of kind ``PAIRS``."""
    return infonce_loss(ha_MD, hb_MD, loss.contrast_temperature)
