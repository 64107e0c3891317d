"""The whole loss: L_cpc of every view, and what is compared between every pair of views.

Source: Rai et al. 2021, arXiv 2104.14764.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from cocon.config.schema import Loss
from cocon.errors import ConfigError
from cocon.losses.cpc import cpc_loss
from cocon.losses.infonce import infonce_loss
from cocon.losses.instances import instance_features
from cocon.losses.sim import sim_loss
from cocon.losses.sync import sync_loss
from cocon.pretrainings import TERMS
from cocon.training.distributed import gather_with_gradient
from cocon.views import VIEWS


@dataclass(frozen=True)
class LossTerms:
    """The loss to minimise, and its unweighted terms by name, without gradient.

    Names: ``cpc/rgb`` and ``accuracy/rgb`` per view; ``sync/rgb-flow``, ``sim/rgb-flow`` and
    ``cmc/rgb-flow`` per pair.
    """

    total: Tensor
    terms: dict[str, Tensor]


class CoConLoss:
    """sum over views of L_cpc + lambda * sum over pairs of views of (L_sync + alpha * L_sim).

    A preset may leave terms out. That of ``cmc`` is the sum over pairs of views of their InfoNCE.

    Args:
        loss: temperatures, weights and kinds of the terms.
        preset: one of :data:`cocon.pretrainings.TERMS`.

    Attributes:
        predicts: whether predictions count; if not, aggregator and predictor get no gradient at all.

    Raises:
        ConfigError: if there is no such preset.
    """

    def __init__(self, loss: Loss, preset: str) -> None:
        if preset not in TERMS:
            raise ConfigError(f"there is no loss '{preset}'", f"choose from {', '.join(TERMS)}")
        self.loss = loss
        self.preset = preset
        self.predicts = "cpc" in TERMS[preset]
        self.between_views = [name for name in TERMS[preset] if name != "cpc"]

    def __call__(self, outputs: Mapping[str, tuple[Tensor, Tensor]]) -> LossTerms:
        """The loss of one batch; computed without autocast, in float32 or better.

        Args:
            outputs: for each view z (B, N, D, S, S) and p (B, P, D, S, S) as from ``ViewNetwork``; the
                last P blocks of z are the targets of p. B and N are common to all views.

        Raises:
            ValueError: if there is no view, or shapes do not match.
            ConfigError: if there is one view only, and the preset does nothing but compare views.
        """
        if not outputs:
            raise ValueError("a loss needs the output of at least one view")
        if len(outputs) == 1 and not self.predicts:
            raise ConfigError(f"the loss '{self.preset}' compares views", "train two views or more together")
        views = canonical_order(outputs)
        device = outputs[views[0]][0].device.type
        with torch.autocast(device, enabled=False):
            full = {view: (_full(outputs[view][0]), _full(outputs[view][1])) for view in views}
            return self._sum(full)

    def _sum(self, outputs: dict[str, tuple[Tensor, Tensor]]) -> LossTerms:
        terms: dict[str, Tensor] = {}
        parts: list[Tensor] = []
        if self.predicts:
            for view, (z, p) in outputs.items():
                loss, accuracy = cpc_loss(p, z[:, z.shape[1] - p.shape[1] :], self.loss.temperature)
                parts.append(loss)
                terms |= {f"cpc/{view}": loss.detach(), f"accuracy/{view}": accuracy}
        if self.between_views and len(outputs) > 1:
            h = {view: gather_with_gradient(instance_features(z)) for view, (z, _) in outputs.items()}
            for a, b in combinations(h, 2):
                for name in self.between_views:
                    value, weight = self._pair(name, h[a], h[b])
                    parts.append(weight * value)
                    terms[f"{name}/{a}-{b}"] = value.detach()
        return LossTerms(torch.stack(parts).sum(), terms)

    def _pair(self, name: str, ha_MD: Tensor, hb_MD: Tensor) -> tuple[Tensor, float]:
        """A term between two views, and its weight."""
        loss = self.loss
        if name == "cmc":
            return infonce_loss(ha_MD, hb_MD, loss.contrast_temperature), 1.0
        if name == "sync":
            return sync_loss(ha_MD, hb_MD, loss.sync), loss.cooperation
        if loss.sim == "infonce":
            similarity = infonce_loss(ha_MD, hb_MD, loss.contrast_temperature)
        else:
            similarity = sim_loss(ha_MD, hb_MD, loss.margin)
        return similarity, loss.cooperation * loss.similarity


def canonical_order(views: Iterable[str]) -> list[str]:
    """The views in the order of :data:`cocon.views.VIEWS`, then any others by name.

    The order of summation, and with it the last bit of the loss, does not depend on who asks.
    """
    known = list(VIEWS)
    return sorted(views, key=lambda view: (known.index(view) if view in known else len(known), view))


def _full(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
