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
from cocon.distributed import gather_together
from cocon.errors import ConfigError
from cocon.losses.clip_vectors import ClipQueue, ClipVectors, clip_features
from cocon.losses.cpc import location_rows
from cocon.losses.instances import instance_features
from cocon.pretrainings import CLIPS, PAIRS, PREDICTIONS, PRESETS, TERMS
from cocon.transfer import constant, sent
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
        weights: list[float] = []

        def add(name: str, where: str, value: Tensor) -> None:
            parts.append(value)
            weights.append(self._weight[name])
            terms[f"{name}/{where}"] = value.detach()

        own = self._own(outputs, videos)
        everyone = gather_together({key: x for key, x in own.items() if key[0] != "predictions"})
        for name in self.of_predictions:
            for view in outputs:
                value, accuracy = self._compute[name](
                    own["predictions", view], everyone["features", view], self.loss
                )
                add(name, view, value)
                terms[f"accuracy/{view}"] = accuracy
        if self.of_clips:
            h, all_h = ({view: of["clips", view] for view in outputs} for of in (own, everyone))
            all_videos = everyone["videos", ""]
            clips = ClipVectors(h, own["videos", ""], all_h, all_videos, self.queue, mining)
            for name in self.of_clips:
                for view, (value, accuracy) in self._compute[name](clips, self.loss).items():
                    add(name, view, value)
                    terms[f"accuracy/{view}"] = accuracy
            if self.queue is not None and keep:
                self.queue.add(all_h, all_videos)
        if self.of_pairs:
            for a, b in combinations(outputs, 2):
                for name in self.of_pairs:
                    value = self._compute[name](everyone["instances", a], everyone["instances", b], self.loss)
                    add(name, f"{a}-{b}", value)
        values = torch.stack(parts)
        return LossTerms((values * constant(tuple(weights), values.device, values.dtype)).sum(), terms)

    def _own(
        self, outputs: dict[str, tuple[Tensor, Tensor]], videos: Sequence[str]
    ) -> dict[tuple[str, str], Tensor]:
        """What the terms compare, of this process's clips, by kind and view.

        All but the predictions are compared with those of the other processes, and so are gathered.
        """
        own: dict[tuple[str, str], Tensor] = {}
        for view, (z, p) in outputs.items():
            if self.of_predictions:
                targets = z[:, z.shape[1] - p.shape[1] :]
                own["predictions", view], own["features", view] = location_rows(p, targets)
            if self.of_clips:
                own["clips", view] = clip_features(z)
            if self.of_pairs and len(outputs) > 1:
                own["instances", view] = instance_features(z)
        if self.of_clips:
            z, _ = next(iter(outputs.values()))
            own["videos", ""] = sent(_numbers(videos, len(z)), z.device)
        return own


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
