"""L_cpc: the contrastive loss of dense predictive coding, within one view.

Source: Han et al. 2019, arXiv 1909.04656; Rai et al. 2021, arXiv 2104.14764.
"""

from __future__ import annotations

from torch import Tensor

from cocon.config.schema import Loss
from cocon.distributed import gather_with_gradient, rank_and_world_size
from cocon.losses.cross_entropy import matching_cross_entropy


def cpc_loss(p_BPDSS: Tensor, z_BPDSS: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Cross-entropy of each prediction against the features of the whole batch.

    Row i is one (clip, predicted block, location). Its candidates are the features of every such row in
    the batch of all processes, the right one is the feature at the row itself, and the score is
    p_i . z_j / temperature. Gradient flows into predictions and features.

    Args:
        p_BPDSS: predictions, L2-normalised over D.
        z_BPDSS: features of the same blocks, L2-normalised over D.
        temperature: tau, > 0.

    Returns:
        The loss, a mean over this process's rows, and the fraction of rows whose right candidate scores
        highest (top-1 accuracy, no gradient).

    Raises:
        ValueError: if the shapes differ or the temperature is not positive.
    """
    p_RD, z_RD = location_rows(p_BPDSS, z_BPDSS)
    return _cross_entropy(p_RD, gather_with_gradient(z_RD), temperature)


def location_rows(p_BPDSS: Tensor, z_BPDSS: Tensor) -> tuple[Tensor, Tensor]:
    """Predictions and features as one row per (clip, predicted block, location), (R, D) each.

    Raises:
        ValueError: if the shapes differ.
    """
    if p_BPDSS.dim() != 5 or p_BPDSS.shape != z_BPDSS.shape:
        raise ValueError(
            "predictions and features must have one shape (B, P, D, S, S), "
            f"not {tuple(p_BPDSS.shape)} and {tuple(z_BPDSS.shape)}"
        )
    return _rows(p_BPDSS), _rows(z_BPDSS)


def _rows(x_BPDSS: Tensor) -> Tensor:
    return x_BPDSS.permute(0, 1, 3, 4, 2).flatten(0, 3)


def _cross_entropy(p_RD: Tensor, candidates_CD: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    first = rank_and_world_size()[0] * len(p_RD)
    return matching_cross_entropy(p_RD, candidates_CD, temperature, first)


def cpc_term(p_RD: Tensor, z_CD: Tensor, loss: Loss) -> tuple[Tensor, Tensor]:
    """L_cpc of one view and its accuracy, as a term of kind ``PREDICTIONS``."""
    return _cross_entropy(p_RD, z_CD, loss.temperature)
