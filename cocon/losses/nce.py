"""L_nce: instance discrimination within one view; positives are the other clips of a video.

Sources: Wu et al. 2018, arXiv 1805.01978; the form with two augmented copies in one batch is that of
Chen et al. 2020, arXiv 2002.05709, equation 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cocon.config.schema import Loss
from cocon.distributed import gather_together, rank_and_world_size
from cocon.losses.clip_vectors import ClipVectors


def nce_loss(h_BD: Tensor, videos_B: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Cross-entropy of each clip's similarity to the other clips of its video.

    - log(sum over positives p of exp(h_i . h_p / tau) / sum over j != i of exp(h_i . h_j / tau)), a mean
    over this process's clips; j runs over the clips of all processes, positives are those of the same
    video. With two clips per video it is the loss of SimCLR. When all cosines are equal it is
    ln((C - 1) / positives) of C clips.

    Args:
        h_BD: one vector per clip, L2-normalised.
        videos_B: ``int64``, equal for clips of one video; every video has two clips or more.
        temperature: tau, > 0.

    Returns:
        The loss, and the fraction of clips whose nearest candidate is a positive (no gradient).

    Raises:
        ValueError: if the temperature is not positive.
    """
    everyone = gather_together({"h": h_BD, "videos": videos_B})
    masks = batch_masks(videos_B, everyone["videos"])
    return multi_instance_loss(h_BD, everyone["h"], *masks, temperature)


def batch_masks(videos_B: Tensor, videos_C: Tensor) -> tuple[Tensor, Tensor]:
    """Which clips of all processes are of the same video as each clip of this process (B, C), the clip itself
    excluded; and which are not the clip itself (B, C).
    """
    first = rank_and_world_size()[0] * len(videos_B)
    rows_B = torch.arange(first, first + len(videos_B), device=videos_B.device)
    others_BC = rows_B[:, None] != torch.arange(len(videos_C), device=videos_B.device)
    return (videos_B[:, None] == videos_C) & others_BC, others_BC


def multi_instance_loss(
    queries_RD: Tensor, candidates_CD: Tensor, positive_RC: Tensor, counted_RC: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """Mean over queries of - log(sum over positives of exp(q . c / tau) / sum over counted of the same).

    Args:
        queries_RD: R vectors.
        candidates_CD: C vectors.
        positive_RC: the positive candidates of each query; at least one each, all of them counted.
        counted_RC: the candidates of each query.
        temperature: tau, > 0.

    Returns:
        The loss, and the fraction of queries whose highest counted score is a positive.

    Raises:
        ValueError: if the temperature is not positive.
    """
    if temperature <= 0:
        raise ValueError(f"the temperature must be positive, not {temperature}")
    scores_RC = (queries_RD @ candidates_CD.t() / temperature).masked_fill(~counted_RC, -torch.inf)
    positives_RC = scores_RC.masked_fill(~positive_RC, -torch.inf)
    hits_R = positive_RC.gather(1, scores_RC.argmax(1, keepdim=True))
    loss = (scores_RC.logsumexp(1) - positives_RC.logsumexp(1)).mean()
    return loss, hits_R.to(loss.dtype).mean()


def nce_term(clips: ClipVectors, loss: Loss) -> dict[str, tuple[Tensor, Tensor]]:
    """L_nce and its accuracy in every view, as a term of kind ``CLIPS``."""
    masks = batch_masks(clips.videos_B, clips.videos_C)
    return {
        view: multi_instance_loss(h_BD, clips.everyone[view], *masks, loss.contrast_temperature)
        for view, h_BD in clips.h.items()
    }
