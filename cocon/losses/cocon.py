"""The whole loss: the terms of a preset, of every view and between every pair of views.

Source: Rai et al. 2021, arXiv 2104.14764.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import prod
from pkgutil import resolve_name

import torch
from torch import Tensor

from cocon.config.schema import Loss
from cocon.distributed import gather_with_gradient
from cocon.errors import ConfigError
from cocon.losses.clip_vectors import ClipQueue, ClipVectors, clip_features
from cocon.losses.instances import instance_features
from cocon.pretrainings import CLIPS, PAIRS, PREDICTIONS, PRESETS, TERMS
from cocon.transfer import sent
from cocon.views import VIEWS


@dataclass(frozen=True)
class LossTerms:
    """The loss to minimise, and its unweighted terms by name, without gradient.

    Names: ``cpc/rgb``, ``nce/rgb`` or ``coclr/rgb`` with ``accuracy/rgb`` per view; ``sync/rgb-flow``,
    ``sim/rgb-flow`` and ``cmc/rgb-flow`` per pair.
    """

    total: Tensor
    terms: dict[str, Tensor]


class CoConLoss:
    """The sum of a preset's terms over views and pairs of views, each with its weight.

    CoCon's is the sum over views of L_cpc + lambda * sum over pairs of (L_sync + alpha * L_sim).

    Args:
        loss: temperatures, weights and kinds of the terms.
        preset: one of :data:`cocon.pretrainings.PRESETS`, which has its terms.
        queue: clips of past batches, for L_coclr; None: there are none.

    Attributes:
        predicts: whether predictions count; if not, aggregator and predictor get no gradient at all.

    Raises:
        ConfigError: if there is no such preset.
    """

    def __init__(self, loss: Loss, preset: str, queue: ClipQueue | None = None) -> None:
        if preset not in PRESETS:
            raise ConfigError(f"there is no loss '{preset}'", f"choose from {', '.join(PRESETS)}")
        chosen = PRESETS[preset]
        self.loss = loss.model_copy(update=dict(chosen.fixed))
        self.preset = preset
        self.queue = queue
        self.predicts = chosen.predicts
        self.of_predictions = [name for name in chosen.terms if TERMS[name].of == PREDICTIONS]
        self.of_clips = [name for name in chosen.terms if TERMS[name].of == CLIPS]
        self.of_pairs = [name for name in chosen.terms if TERMS[name].of == PAIRS]
        self._compute = {name: resolve_name(TERMS[name].path) for name in chosen.terms}
        self._weight = {
            name: prod(getattr(self.loss, key) for key in TERMS[name].weight) for name in chosen.terms
        }
        self.needs_views = all(TERMS[name].between_views for name in chosen.terms)

    def __call__(
        self,
        outputs: Mapping[str, tuple[Tensor, Tensor]],
        videos: Sequence[str] = (),
        *,
        mining: bool = True,
        keep: bool = True,
    ) -> LossTerms:
        """The loss of one batch; computed without autocast, in float32 or better (on a GPU TF32, by default).

        Args:
            outputs: for each view z (B, N, D, S, S) and p (B, P, D, S, S) as from ``ViewNetwork``; the
                last P blocks of z are the targets of p. B and N are common to all views.
            videos: the ids of the B clips' videos, for presets with several clips of a video.
            mining: whether L_coclr mines positives from the other views.
            keep: whether the clips join the queue.

        Raises:
            ValueError: if there is no view, shapes do not match, or a term needs another clip of the same
                video and there is none.
            ConfigError: if there is only one view, and all terms of the preset compare views.
        """
        if not outputs:
            raise ValueError("a loss needs the output of at least one view")
        if len(outputs) == 1 and self.needs_views:
            raise ConfigError(f"the loss '{self.preset}' compares views", "train two views or more together")
        views = canonical_order(outputs)
        device = outputs[views[0]][0].device.type
        with torch.autocast(device, enabled=False):
            full = {view: (_full(outputs[view][0]), _full(outputs[view][1])) for view in views}
            return self._sum(full, videos, mining, keep)

    def _sum(
        self, outputs: dict[str, tuple[Tensor, Tensor]], videos: Sequence[str], mining: bool, keep: bool
    ) -> LossTerms:
        terms: dict[str, Tensor] = {}
        parts: list[Tensor] = []

        def add(name: str, where: str, value: Tensor) -> None:
            parts.append(self._weight[name] * value)
            terms[f"{name}/{where}"] = value.detach()

        for name in self.of_predictions:
            for view, (z, p) in outputs.items():
                value, accuracy = self._compute[name](z, p, self.loss)
                add(name, view, value)
                terms[f"accuracy/{view}"] = accuracy
        if self.of_clips:
            clips = self._clips(outputs, videos, mining)
            for name in self.of_clips:
                for view, (value, accuracy) in self._compute[name](clips, self.loss).items():
                    add(name, view, value)
                    terms[f"accuracy/{view}"] = accuracy
            if self.queue is not None and keep:
                self.queue.add(clips.h, clips.videos_B)
        if self.of_pairs and len(outputs) > 1:
            h = {view: gather_with_gradient(instance_features(z)) for view, (z, _) in outputs.items()}
            for a, b in combinations(h, 2):
                for name in self.of_pairs:
                    add(name, f"{a}-{b}", self._compute[name](h[a], h[b], self.loss))
        return LossTerms(torch.stack(parts).sum(), terms)

    def _clips(
        self, outputs: dict[str, tuple[Tensor, Tensor]], videos: Sequence[str], mining: bool
    ) -> ClipVectors:
        """One vector per clip and view, with the numbers of their videos."""
        h = {view: clip_features(z) for view, (z, _) in outputs.items()}
        first_BD = next(iter(h.values()))
        return ClipVectors(h, sent(_numbers(videos, len(first_BD)), first_BD.device), self.queue, mining)


def _numbers(videos: Sequence[str], clips: int) -> Tensor:
    """A number per clip, the same for clips of one video in any process and batch."""
    counts = Counter(videos)
    if len(videos) != clips or min(counts.values()) < 2:
        raise ValueError("this loss needs the videos of all clips, and two clips or more of each")
    digests = [hashlib.sha256(video.encode(errors="surrogateescape")).digest()[:8] for video in videos]
    return torch.tensor([int.from_bytes(digest, "little") >> 1 for digest in digests])


def canonical_order(views: Iterable[str]) -> list[str]:
    """The views in the order of :data:`cocon.views.VIEWS`, then any others by name.

    The order of summation, and so the last bit of the loss, is always the same.
    """
    known = list(VIEWS)
    return sorted(views, key=lambda view: (known.index(view) if view in known else len(known), view))


def _full(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
