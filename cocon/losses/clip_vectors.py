"""Inputs of loss terms of kind ``CLIPS``: one vector per clip and view, and a queue of past ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cocon.losses.instances import instance_features

_EMPTY = -1  # marks an empty row


def clip_features(z_BNDSS: Tensor) -> Tensor:
    """One vector per clip (B, D): the mean of its N instances, L2-normalised.

    Raises:
        ValueError: if the input is not 5-dimensional.
    """
    h_MD = instance_features(z_BNDSS)
    return F.normalize(h_MD.unflatten(0, z_BNDSS.shape[:2]).mean(1), dim=1)


class ClipQueue(nn.Module):
    """The newest clips of past batches, of all processes: their vectors in every view, and their videos.

    Its buffers are part of a checkpoint. It is the same in every process.

    Args:
        views: names of the views.
        features: D, length of a vector.
        size: clips that it holds.
    """

    videos_Q: Tensor

    def __init__(self, views: Iterable[str], features: int, size: int) -> None:
        super().__init__()
        self.register_buffer("videos_Q", torch.full((size,), _EMPTY))
        for view in views:
            self.register_buffer(view, torch.zeros(size, features))

    def of(self, view: str) -> Tensor:
        """The vectors of a view (Q, D), newest first; empty rows are zero."""
        return self.get_buffer(view)

    def filled(self) -> Tensor:
        """Which rows hold a clip, (Q,)."""
        return self.videos_Q != _EMPTY

    @torch.no_grad()
    def add(self, h: Mapping[str, Tensor], videos_C: Tensor) -> None:
        """Prepend the clips of a batch.

        Args:
            h: vectors (C, D) of the clips of all processes by view.
            videos_C: numbers of their videos, >= 0.
        """
        _push(self.videos_Q, videos_C)
        for view, h_CD in h.items():
            _push(self.of(view), h_CD)


def _push(rows: Tensor, new: Tensor) -> None:
    rows.copy_(torch.cat([new, rows])[: len(rows)])


@dataclass(frozen=True)
class ClipVectors:
    """The clips of a batch.

    Attributes:
        h: one vector per clip of this process (B, D) by view, L2-normalised.
        videos_B: ``int64``, equal for clips of one video in any process and batch.
        everyone: the vectors of all processes' clips (C, D) by view.
        videos_C: the videos of all processes' clips.
        queue: clips of past batches; None: there are none.
        mining: whether positives are mined from other views.
    """

    h: Mapping[str, Tensor]
    videos_B: Tensor
    everyone: Mapping[str, Tensor]
    videos_C: Tensor
    queue: ClipQueue | None = None
    mining: bool = True
