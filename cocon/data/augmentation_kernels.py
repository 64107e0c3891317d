"""The augmentation of a view in one or two Triton kernels.

Single operations of torch read and write a batch of rgb about 66 times as float32. Here its bytes are read
twice, and what the network gets is written once. Importing this imports Triton.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from cocon.config.schema import Clip
from cocon.data.colour import LUMA
from cocon.transfer import constant
from cocon.views import VIEWS

#: pixels, or values, of a program
_BLOCK = 1024
#: compiled once for any size and layout
_ANY: dict[str, Any] = {
    "do_not_specialize": [
        "frames", "width", "size", "of_clip", "of_frame", "of_row", "of_column", "of_channel", "zero",
    ],
    "do_not_specialize_on_alignment": ["source"],
}  # fmt: skip

# mypy: disable-error-code="no-untyped-def"


@triton.jit
def _unit(x):
    return tl.minimum(tl.maximum(x, 0.0), 1.0)


@triton.jit
def _moved(red, green, blue, factor, offset):
    return _unit(red * factor + offset), _unit(green * factor + offset), _unit(blue * factor + offset)


@triton.jit
def _pixels(
    frame, here, there, of_channel, grey, channel, brightness, GREY: tl.constexpr, BRIGHTNESS: tl.constexpr
):  # fmt: skip
    """Red, green and blue in [0, 1], after the choice of a channel and brightness; see augmentation.py."""
    red = tl.load(here, there, 0).to(tl.float32) / 255.0
    green = tl.load(here + of_channel, there, 0).to(tl.float32) / 255.0
    blue = tl.load(here + 2 * of_channel, there, 0).to(tl.float32) / 255.0
    if GREY:
        which = tl.load(channel + frame)
        one = tl.where(which < 0.5, red, tl.where(which < 1.5, green, blue))
        alike = tl.load(grey + frame) > 0.5
        red, green, blue = tl.where(alike, one, red), tl.where(alike, one, green), tl.where(alike, one, blue)
    if BRIGHTNESS:
        factor = tl.load(brightness + frame)
        red, green, blue = _unit(red * factor), _unit(green * factor), _unit(blue * factor)
    return red, green, blue


@triton.jit
def _share(hue, offset):
    """How much of the chroma a channel lacks, see :func:`cocon.data.colour.adjust_hue`."""
    k = hue + offset
    k -= 6.0 * tl.floor(k / 6.0)
    return _unit(tl.minimum(k, 4.0 - k))


@triton.jit(**_ANY)
def _mean_luma(
    source, means, grey, channel, brightness, frames, width, size, of_clip, of_frame, of_row, of_column,
    of_channel, red_part, green_part, blue_part, GREY: tl.constexpr, BRIGHTNESS: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Mean luma of a frame before its contrast changes; a program has a frame, so the order is fixed."""
    frame = tl.program_id(0)
    source += (frame // frames).to(tl.int64) * of_clip + (frame % frames).to(tl.int64) * of_frame
    total = tl.zeros((BLOCK,), tl.float32)
    for begin in range(0, size, BLOCK):
        pixel = begin + tl.arange(0, BLOCK)
        there = pixel < size
        here = source + pixel // width * of_row + pixel % width * of_column
        red, green, blue = _pixels(
            frame, here, there, of_channel, grey, channel, brightness, GREY, BRIGHTNESS
        )
        total += tl.where(there, red_part * red + green_part * green + blue_part * blue, 0.0)
    tl.store(means + frame, tl.sum(total, 0) / size)


@triton.jit(**_ANY)
def _photograph(
    source, target, means, flipped, grey, channel, brightness, contrast, saturation, hue, mean, std, frames,
    width, size, of_clip, of_frame, of_row, of_column, of_channel, red_part, green_part, blue_part,
    FLIP: tl.constexpr, GREY: tl.constexpr, BRIGHTNESS: tl.constexpr, CONTRAST: tl.constexpr,
    SATURATION: tl.constexpr, HUE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Pixels of a frame from bytes to network input, channels last."""
    frame = tl.program_id(0)
    clip = frame // frames
    pixel = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    there = pixel < size
    column = pixel % width
    if FLIP:
        column = tl.where(tl.load(flipped + clip) > 0.5, width - 1 - column, column)
    source += clip.to(tl.int64) * of_clip + (frame % frames).to(tl.int64) * of_frame
    here = source + pixel // width * of_row + column * of_column
    red, green, blue = _pixels(frame, here, there, of_channel, grey, channel, brightness, GREY, BRIGHTNESS)
    if CONTRAST:
        factor = tl.load(contrast + frame)
        offset = tl.load(means + frame) * (1.0 - factor)
        red, green, blue = _moved(red, green, blue, factor, offset)
    if SATURATION:
        factor = tl.load(saturation + frame)
        luma = (red_part * red + green_part * green + blue_part * blue) * (1.0 - factor)
        red, green, blue = _moved(red, green, blue, factor, luma)
    if HUE:
        value = tl.maximum(tl.maximum(red, green), blue)
        chroma = value - tl.minimum(tl.minimum(red, green), blue)
        safe = tl.maximum(chroma, 1e-8)
        sixths = tl.where(
            value == red,
            (green - blue) / safe,
            tl.where(value == green, (blue - red) / safe + 2.0, (red - green) / safe + 4.0),
        ) + 6.0 * tl.load(hue + frame)
        red = value - chroma * _share(sixths, 5.0)
        green = value - chroma * _share(sixths, 3.0)
        blue = value - chroma * _share(sixths, 1.0)
    target += (frame.to(tl.int64) * size + pixel) * 3
    tl.store(target, (red - tl.load(mean)) / tl.load(std), there)
    tl.store(target + 1, (green - tl.load(mean + 1)) / tl.load(std + 1), there)
    tl.store(target + 2, (blue - tl.load(mean + 2)) / tl.load(std + 2), there)


@triton.jit(**_ANY)
def _plain(
    source, target, flipped, order, negated, mean, std, frames, width, size, of_clip, of_frame, of_row,
    of_column, of_channel, zero, CHANNELS: tl.constexpr, FLIP: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Values of a frame from bytes to network input, channels last, of any view without colours."""
    frame = tl.program_id(0)
    clip = frame // frames
    place = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    there = place < size * CHANNELS
    channel, pixel = place % CHANNELS, place // CHANNELS
    column, from_channel = pixel % width, channel
    if FLIP:
        turned = tl.load(flipped + clip)
        column = tl.where(turned > 0.5, width - 1 - column, column)
        from_channel = tl.where(turned > 0.5, tl.load(order + channel, there, 0), channel)
    source += clip.to(tl.int64) * of_clip + (frame % frames).to(tl.int64) * of_frame
    x = tl.load(source + pixel // width * of_row + column * of_column + from_channel * of_channel, there, 0)
    x = x.to(tl.float32) / 255.0
    if FLIP:
        sign_changes = tl.load(negated + channel, there, 0.0) * turned
        x = tl.where(sign_changes > 0.5, 2.0 * zero / 255.0 - x, x)
    x = (x - tl.load(mean + channel, there, 0.0)) / tl.load(std + channel, there, 1.0)
    tl.store(target + frame.to(tl.int64) * size * CHANNELS + place, x, there)


def augment(x_u8_BTCHW: Tensor, view: str, draws: Mapping[str, Tensor], clip: Clip) -> Tensor:
    """Clips augmented with these random numbers, as network input.

    Args:
        x_u8_BTCHW: ``uint8`` clips, in any layout.
        view: name of the view.
        draws: per clip ``flipped``, per frame the others, see :class:`cocon.data.augmentation.Augmenter`.
        clip: number of blocks and frames per block.

    Returns:
        ``float32`` (B, N, C, K, H, W), its channels last in memory.
    """
    known, device = VIEWS[view], x_u8_BTCHW.device
    clips, frames, channels, height, width = x_u8_BTCHW.shape
    size = height * width
    target = torch.empty(clips, frames, height, width, channels, device=device)
    of_clip, of_frame, of_channel, of_row, of_column = x_u8_BTCHW.stride()
    layout = frames, width, size, of_clip, of_frame, of_row, of_column, of_channel
    scale = tuple(constant(values, device, torch.float32) for values in (known.mean, known.std))
    none = scale[0]  # in the place of what is not read
    if known.content == "photograph":
        grey, channel = draws.get("grey", none), draws.get("channel", none)
        chosen = {"GREY": "channel" in draws, "BRIGHTNESS": "brightness" in draws}
        first = grey, channel, draws.get("brightness", none)
        rest = (draws.get(name, none) for name in ("contrast", "saturation", "hue"))
        means = torch.empty(clips * frames, device=device)
        if "contrast" in draws:
            _mean_luma[(clips * frames,)](x_u8_BTCHW, means, *first, *layout, *LUMA, **chosen, BLOCK=_BLOCK)
        _photograph[clips * frames, triton.cdiv(size, _BLOCK)](
            x_u8_BTCHW, target, means, draws.get("flipped", none), *first, *rest, *scale, *layout, *LUMA,
            FLIP="flipped" in draws, **chosen, CONTRAST="contrast" in draws, SATURATION="saturation" in draws,
            HUE="hue" in draws, BLOCK=_BLOCK,
        )  # fmt: skip
    else:
        order = constant(tuple(known.mirrored or range(channels)), device, torch.int32)
        negated = tuple(float(number in known.negated) for number in range(channels))
        _plain[clips * frames, triton.cdiv(size * channels, _BLOCK)](
            x_u8_BTCHW, target, draws.get("flipped", none), order, constant(negated, device, torch.float32),
            *scale, *layout, known.zero, CHANNELS=channels, FLIP="flipped" in draws, BLOCK=_BLOCK,
        )  # fmt: skip
    result: Tensor = target.unflatten(1, (clip.blocks, clip.frames_per_block)).permute(0, 1, 5, 2, 3, 4)
    return result
