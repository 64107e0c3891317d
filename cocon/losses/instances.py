"""From feature maps to instances: the vectors h that two views are compared by.

Source: Rai et al. 2021, arXiv 2104.14764; the pooling follows the authors' public code.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def instance_features(z_BNDSS: Tensor) -> Tensor:
    """One vector per block: features pooled over space, L2-normalised; (M, D) with M = B * N.

    SxS locations are pooled as in the authors' code where it has a rule: S = 4 by a 2x2 maximum and a 2x2
    mean; S = 7 by 2x2 maxima (the first one padded by 1) and a 2x2 mean; S = 2 by a 2x2 mean. Any other
    size is averaged, which leaves S = 1 as it is.

    Raises:
        ValueError: if the input is not 5-dimensional.
    """
    if z_BNDSS.dim() != 5:
        raise ValueError(f"expected (B, N, D, S, S), got {tuple(z_BNDSS.shape)}")
    h = z_BNDSS.flatten(0, 1)
    size = tuple(h.shape[2:])
    if size == (7, 7):
        h = F.max_pool2d(h, 2, padding=1)
    if size in ((4, 4), (7, 7)):
        h = F.max_pool2d(h, 2)
    return F.normalize(h.mean((2, 3)), dim=1)


def check_instances(ha_MD: Tensor, hb_MD: Tensor) -> None:
    """Both views must bring the same instances.

    Raises:
        ValueError: if the two are not matrices with the same number of rows.
    """
    if ha_MD.dim() != 2 or hb_MD.dim() != 2 or len(ha_MD) != len(hb_MD):
        raise ValueError(
            "both views need instances (M, D) with the same M, "
            f"not {tuple(ha_MD.shape)} and {tuple(hb_MD.shape)}"
        )
