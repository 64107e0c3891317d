"""Augmentation of a batch of clips on the device of the network (crops are drawn by the data set)."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from cocon.config.schema import Augmentation, Clip
from cocon.data import colour
from cocon.data.network_input import normalise, unit_range
from cocon.transfer import constant, sent_together
from cocon.views import VIEWS

log = logging.getLogger(__name__)
#: from clips (``uint8`` (B, T, C, H, W)), their view, random numbers and blocks to network input
Way = Callable[[Tensor, str, Mapping[str, Tensor], Clip], Tensor]
#: of values that are of size 1, by rounding
_APART = 1e-3


def mirror(x_BTCHW: Tensor, view: str) -> Tensor:
    """Mirror clips in [0, 1] horizontally: flow's u changes sign, left and right joints are swapped."""
    known = VIEWS[view]
    x_BTCHW = _reversed(x_BTCHW, view)
    for channel in known.negated:
        x_BTCHW[:, :, channel] = 2 * known.zero / 255 - x_BTCHW[:, :, channel]
    return x_BTCHW


def mirror_some(x_u8_BTCHW: Tensor, flipped_B: Tensor, view: str) -> Tensor:
    """Convert stored bytes to clips in [0, 1], some of them mirrored; see :func:`mirror`.

    Everything is computed for all clips and selected by a mask: indices would have to come from the host.

    Args:
        x_u8_BTCHW: ``uint8`` clips, on any device.
        flipped_B: which clips, on the same device.
        view: name of the view.
    """
    known = VIEWS[view]
    flipped_B1111 = flipped_B.view(-1, 1, 1, 1, 1)
    # of bytes: a quarter of the memory
    x_BTCHW = unit_range(torch.where(flipped_B1111, _reversed(x_u8_BTCHW, view), x_u8_BTCHW))
    for channel in known.negated:
        x_BTHW = x_BTCHW[:, :, channel]
        x_BTHW.copy_(torch.where(flipped_B1111[:, 0], 2 * known.zero / 255 - x_BTHW, x_BTHW))
    return x_BTCHW


def _reversed(x_BTCHW: Tensor, view: str) -> Tensor:
    """A copy of clips with the columns in reverse order and left and right joints swapped."""
    order, x_BTCHW = VIEWS[view].mirrored, x_BTCHW.flip(-1)
    return x_BTCHW.index_select(2, constant(order, x_BTCHW.device, torch.int64)) if order else x_BTCHW


class Augmenter:
    """Turns stored bytes of a view into augmented network input.

    A clip is mirrored as a whole; grey and colour jitter are drawn per frame of rgb (the paper,
    section 4). Random numbers are drawn on the CPU, so that every device sees the same augmentation; those of
    a batch are transferred together.

    Args:
        settings: strengths and probabilities; a zero costs no time.
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
        return self.batch({view: x_u8_BTCHW}, x_u8_BTCHW.device, generator)[view]

    def batch(
        self, views: Mapping[str, Tensor], device: torch.device, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Augment all views of a batch on a device, without blocking if the bytes are in pinned memory.

        Args:
            views: ``uint8`` clips (B, T, C, H, W) by view.
            device: where to compute.
            generator: source of randomness, on the CPU.

        Returns:
            What :meth:`__call__` returns, by view.
        """
        drawn: dict[tuple[str, str], Tensor] = {}
        for view, x in views.items():
            draws = self._draw(len(x), x.shape[1], view, generator)
            drawn |= {(view, name): values for name, values in draws.items()}
        there = sent_together(drawn, device)
        return {
            view: self._apply(
                x.to(device, non_blocking=True),
                view,
                {name: v for (of, name), v in there.items() if of == view},
            )
            for view, x in views.items()
        }

    def _draw(self, clips: int, frames: int, view: str, generator: torch.Generator) -> dict[str, Tensor]:
        """The random numbers for one view of a batch: a float32 per clip or frame and kind, on the CPU."""
        settings, count = self.settings, clips * frames
        draws: dict[str, Tensor] = {}
        if self._flips[view] > 0:
            draws["flipped"] = torch.rand(clips, generator=generator) < self._flips[view]
        if VIEWS[view].content == "photograph":

            def spread(strength: float) -> Tensor:
                return (2 * torch.rand(count, generator=generator) - 1) * strength

            def factors(strength: float) -> Tensor:
                return (1 + spread(strength)).clamp_min(0)

            grey_F = draws["grey"] = torch.rand(count, generator=generator) < settings.grey
            if grey_F.any():
                draws["channel"] = torch.randint(3, (count,), generator=generator)
            if settings.brightness:
                draws["brightness"] = factors(settings.brightness)
            if settings.contrast:
                draws["contrast"] = factors(settings.contrast)
            if not grey_F.all():  # a grey frame has neither saturation nor hue
                if settings.saturation:
                    draws["saturation"] = factors(settings.saturation)
                if settings.hue:
                    draws["hue"] = spread(settings.hue)
        return {name: values.float() for name, values in draws.items()}

    def _apply(self, x_u8_BTCHW: Tensor, view: str, draws: Mapping[str, Tensor]) -> Tensor:
        return way_on(x_u8_BTCHW.device)(x_u8_BTCHW, view, draws, self.clip)


def by_operations(x_u8_BTCHW: Tensor, view: str, draws: Mapping[str, Tensor], clip: Clip) -> Tensor:
    """Clips augmented with these random numbers, as network input.

    In operations of torch; :func:`cocon.data.augmentation_kernels.augment` is the same in a few kernels.
    """
    if "flipped" in draws:
        x_BTCHW = mirror_some(x_u8_BTCHW, draws["flipped"] > 0, view)
    else:
        x_BTCHW = unit_range(x_u8_BTCHW)
    if VIEWS[view].content == "photograph":
        x_BTCHW = _recoloured(x_BTCHW.contiguous().flatten(0, 1), draws).view_as(x_BTCHW)
    return normalise(x_BTCHW, view, clip)


@functools.cache
def way_on(device: torch.device) -> Way:
    """The kernels on a GPU, if they run there with correct results; else operations, on a GPU with a warning.

    Triton comes with torch where there is a GPU, but it needs a C compiler and a GPU that it supports.
    """
    if device.type != "cuda":
        return by_operations
    try:
        from cocon.data.augmentation_kernels import augment

        check(augment, device)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        log.warning("clips are augmented without fused kernels, which takes longer: %s", reason)
        return by_operations
    return augment


def check(way: Way, device: torch.device) -> None:
    """Compare a way to augment with operations of torch, on small clips of every view.

    Raises:
        ArithmeticError: the results differ.
    """
    clip = Clip(blocks=2, frames_per_block=2, predicted_blocks=1)
    everything = Augmentation(**{f"{view}_flip": 0.5 for view in VIEWS}, grey=0.5)
    generator = torch.Generator().manual_seed(0)
    for view, known in VIEWS.items():
        x_u8 = torch.randint(256, (4, 4, known.channels, 9, 11), dtype=torch.uint8, generator=generator)
        drawn = Augmenter(everything, clip)._draw(4, 4, view, generator)
        draws = {name: values.to(device) for name, values in drawn.items()}
        found, wanted = (each(x_u8.to(device), view, draws, clip) for each in (way, by_operations))
        apart = float((found - wanted).abs().max())
        if not apart < _APART:  # also true for NaN
            raise ArithmeticError(f"the view {view} is {apart:.3g} away from the correct values")


def _recoloured(x_FCHW: Tensor, draws: Mapping[str, Tensor]) -> Tensor:
    """Frames in [0, 1] (they may be overwritten) with the drawn colours."""
    grey_F = draws["grey"] > 0
    if "channel" in draws:
        index_F111 = draws["channel"].long().view(-1, 1, 1, 1)
        one_F1HW = x_FCHW.gather(1, index_F111.expand(-1, 1, *x_FCHW.shape[2:]))
        x_FCHW = torch.where(grey_F.view(-1, 1, 1, 1), one_F1HW, x_FCHW)
    if "brightness" in draws:
        x_FCHW = colour.adjust_brightness(x_FCHW, draws["brightness"])
    if "contrast" in draws:
        x_FCHW = colour.adjust_contrast(x_FCHW, draws["contrast"])
    turned = {name: values for name, values in draws.items() if name in ("saturation", "hue")}
    if not turned:
        return x_FCHW
    if x_FCHW.device.type != "cpu":  # grey stays grey, up to rounding
        return _saturated(x_FCHW, turned)
    coloured = (~grey_F).nonzero().squeeze(1)  # saves time on a CPU
    x_FCHW[coloured] = _saturated(
        x_FCHW[coloured], {name: values[coloured] for name, values in turned.items()}
    )
    return x_FCHW


def _saturated(x_FCHW: Tensor, draws: Mapping[str, Tensor]) -> Tensor:
    if "saturation" in draws:
        x_FCHW = colour.adjust_saturation(x_FCHW, draws["saturation"])
    if "hue" in draws:
        x_FCHW = colour.adjust_hue(x_FCHW, draws["hue"])
    return x_FCHW
