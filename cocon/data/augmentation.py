"""Augmentation of a batch of clips on the device of the network (crops are drawn by the data set)."""

from __future__ import annotations

import torch
from torch import Tensor

from cocon.config.schema import Augmentation, Clip
from cocon.data import colour
from cocon.data.network_input import normalise, unit_range
from cocon.views import VIEWS


def mirror(x_BTCHW: Tensor, view: str) -> Tensor:
    """Clips in [0, 1] as a mirror would show them: flow's u changes its sign, left joints become right."""
    known = VIEWS[view]
    x_BTCHW = x_BTCHW.flip(-1)
    if known.negated:
        channels = list(known.negated)
        x_BTCHW[:, :, channels] = 2 * known.zero / 255 - x_BTCHW[:, :, channels]
    if known.mirrored:
        x_BTCHW = x_BTCHW[:, :, list(known.mirrored)]
    return x_BTCHW


class Augmenter:
    """Turns stored bytes of a view into augmented network input.

    A clip is mirrored as a whole; grey and colour jitter are drawn per frame of rgb (the paper,
    section 4). Random numbers are drawn on the CPU, so that every device sees the same augmentation.

    Args:
        settings: strengths and probabilities; what is zero costs nothing.
        clip: number of blocks and frames per block.
    """

    def __init__(self, settings: Augmentation, clip: Clip) -> None:
        self.settings = settings
        self.clip = clip
        self._flips = settings.flips

    def __call__(self, x_u8_BTCHW: Tensor, view: str, generator: torch.Generator) -> Tensor:
        """Augment one view of a batch.

        Args:
            x_u8_BTCHW: ``uint8`` clips, on any device.
            view: name of the view.
            generator: source of randomness, on the CPU.

        Returns:
            ``float32`` (B, N, C, K, H, W), as from :func:`cocon.data.network_input.to_network_input`.
        """
        x_BTCHW = unit_range(x_u8_BTCHW)
        if self._flips[view] > 0:
            flipped_B = torch.rand(len(x_BTCHW), generator=generator) < self._flips[view]
            chosen = flipped_B.nonzero().squeeze(1).to(x_BTCHW.device)
            x_BTCHW[chosen] = mirror(x_BTCHW[chosen], view)
        if VIEWS[view].content == "photograph":
            x_BTCHW = self._recolour(x_BTCHW.contiguous().flatten(0, 1), generator).view_as(x_BTCHW)
        return normalise(x_BTCHW, view, self.clip)

    def _recolour(self, x_FCHW: Tensor, generator: torch.Generator) -> Tensor:
        settings, count, device = self.settings, len(x_FCHW), x_FCHW.device

        def factors(strength: float) -> Tensor:
            spread = (2 * torch.rand(count, generator=generator) - 1) * strength
            return (1 + spread).clamp_min(0).to(device)

        grey_F = torch.rand(count, generator=generator) < settings.grey
        grey = grey_F.nonzero().squeeze(1).to(device)
        coloured = (~grey_F).nonzero().squeeze(1).to(device)
        if len(grey):
            channel_F = torch.randint(3, (count,), generator=generator).to(device)
            x_FCHW[grey] = x_FCHW[grey, channel_F[grey], None].expand(-1, 3, -1, -1)
        if settings.brightness:
            x_FCHW = colour.adjust_brightness(x_FCHW, factors(settings.brightness))
        if settings.contrast:
            x_FCHW = colour.adjust_contrast(x_FCHW, factors(settings.contrast))
        if len(coloured) and (settings.saturation or settings.hue):  # a grey frame has neither
            part_FCHW = x_FCHW[coloured]
            if settings.saturation:
                part_FCHW = colour.adjust_saturation(part_FCHW, factors(settings.saturation)[coloured])
            if settings.hue:
                shift_F = (2 * torch.rand(count, generator=generator) - 1) * settings.hue
                part_FCHW = colour.adjust_hue(part_FCHW, shift_F.to(device)[coloured])
            x_FCHW[coloured] = part_FCHW
        return x_FCHW
