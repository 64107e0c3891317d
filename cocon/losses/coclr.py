"""L_coclr: instance discrimination with additional positives mined from the other views.

Source: Han, Xie and Zisserman 2020, "Self-supervised co-training for video representation learning",
arXiv 2010.09709, for two views; docs/method.md lists the differences. A queue of past features without a
momentum encoder: Wang et al. 2020, "Cross-batch memory for embedding learning", arXiv 1912.06798.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from cocon.config.schema import Loss
from cocon.distributed import gather_together
from cocon.losses.clip_vectors import ClipQueue, ClipVectors
from cocon.losses.nce import batch_masks, multi_instance_loss


def coclr_loss(
    h: Mapping[str, Tensor],
    videos_B: Tensor,
    queue: ClipQueue | None,
    temperature: float,
    nearest: int,
) -> dict[str, tuple[Tensor, Tensor]]:
    """The cross-entropy of a clip's similarity to its positives, per view.

    The candidates are the other clips of the batch of all processes, with gradient, and the clips of the
    queue, without. The positives of a clip are those of its video, and for every other view the ``nearest``
    clips of the queue that are not of its video and have the highest cosines with the clip in that view.
    Without a queue this is L_nce.

    Args:
        h: one vector per clip (B, D) by view, L2-normalised.
        videos_B: ``int64``, equal for clips of one video; every video has two clips or more.
        queue: clips of past batches; None: there are none.
        temperature: tau, > 0.
        nearest: K; 0: no mining from other views.

    Returns:
        By view the loss, a mean over this process's clips, and the fraction of clips whose nearest candidate
        is a positive (no gradient).

    Raises:
        ValueError: if the temperature is not positive.
    """
    everyone = gather_together({"videos": videos_B} | {("h", view): h_BD for view, h_BD in h.items()})
    all_h = {view: everyone["h", view] for view in h}
    return _of_clips(ClipVectors(h, videos_B, all_h, everyone["videos"], queue), temperature, nearest)


def _of_clips(clips: ClipVectors, temperature: float, nearest: int) -> dict[str, tuple[Tensor, Tensor]]:
    h, queue = clips.h, clips.queue
    positive_BC, counted_BC = batch_masks(clips.videos_B, clips.videos_C)
    if queue is None:
        return {
            view: multi_instance_loss(h_BD, clips.everyone[view], positive_BC, counted_BC, temperature)
            for view, h_BD in h.items()
        }
    filled_Q, same_BQ = queue.filled(), clips.videos_B[:, None] == queue.videos_Q
    others_BQ = filled_Q & ~same_BQ
    counted = torch.cat([counted_BC, filled_Q.expand_as(same_BQ)], 1)
    found = {view: nearest_clips(h_BD, queue.of(view), others_BQ, nearest) for view, h_BD in h.items()}
    result = {}
    for view, h_BD in h.items():
        positive_BQ = same_BQ.clone()
        for other in found:
            if other != view:
                positive_BQ |= found[other]
        result[view] = multi_instance_loss(
            h_BD,
            torch.cat([clips.everyone[view], queue.of(view)]),
            torch.cat([positive_BC, positive_BQ], 1),
            counted,
            temperature,
        )
    return result


@torch.no_grad()
def nearest_clips(h_BD: Tensor, queue_QD: Tensor, allowed_BQ: Tensor, nearest: int) -> Tensor:
    """Mask of the K allowed rows of the queue with the highest cosines; all, if there are at most K."""
    cosines_BQ = (h_BD @ queue_QD.t()).masked_fill(~allowed_BQ, -torch.inf)
    highest_BK, found_BK = cosines_BQ.topk(min(nearest, len(queue_QD)))
    return torch.zeros_like(allowed_BQ).scatter_(1, found_BK, highest_BK.isfinite())


def coclr_term(clips: ClipVectors, loss: Loss) -> dict[str, tuple[Tensor, Tensor]]:
    """L_coclr and its accuracy in every view, as a term of kind ``CLIPS``."""
    nearest = loss.nearest if clips.mining else 0
    return _of_clips(clips, loss.contrast_temperature, nearest)
