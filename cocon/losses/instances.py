"""Pools feature maps to instances: the vectors h by which two views are compared.

Source: Rai et al. 2021, arXiv 2104.14764; the pooling follows the authors' public code.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

#: maps with up to this many locations along a side are averaged, not halved
AVERAGED = 3


def instance_features(z_BNDSS: Tensor) -> Tensor:
    """One vector per block: features pooled over space, L2-normalised; (M, D) with M = B * N.

    While a map has more than :data:`AVERAGED` locations on a side, the maxima of 2x2 windows take its place,
    which halves it; an odd side is padded by 1 first, and so rounded up. The rest is averaged. For S = 2, 4
    and 7 these are the authors' rules: a mean; maxima and a mean; padded maxima, maxima and a mean.

    Raises:
        ValueError: if the input is not 5-dimensional.
    """
    if z_BNDSS.dim() != 5:
        raise ValueError(f"expected (B, N, D, S, S), got {tuple(z_BNDSS.shape)}")
    h = z_BNDSS.flatten(0, 1)
    while max(h.shape[2:]) > AVERAGED:
        h = F.max_pool2d(h, 2, padding=(h.shape[2] % 2, h.shape[3] % 2))
    return F.normalize(h.mean((2, 3)), dim=1)


def check_instances(ha_MD: Tensor, hb_MD: Tensor) -> None:
    """Check that both views have the same instances.

    Raises:
        ValueError: if the two are not matrices with the same number of rows.
    """
    if ha_MD.dim() != 2 or hb_MD.dim() != 2 or len(ha_MD) != len(hb_MD):
        raise ValueError(
            "both views need instances (M, D) with the same M, "
            f"not {tuple(ha_MD.shape)} and {tuple(hb_MD.shape)}"
        )
