"""Colour operations on batches of rgb frames in [0, 1], with one strength per frame.

All take ``x_FCHW`` (F frames, 3 channels) and a strength ``(F,)`` and work in place where they can: the data
are large, and on a CPU every pass over them counts.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cocon.transfer import constant

#: parts of red, green and blue (ITU-R BT.601)
LUMA = (0.299, 0.587, 0.114)


def _per_frame(strength_F: Tensor) -> Tensor:
    return strength_F.view(-1, 1, 1, 1)


def luma(x_FCHW: Tensor) -> Tensor:
    """Luma (ITU-R BT.601), (F, 1, H, W)."""
    weights_C = constant(LUMA, x_FCHW.device, x_FCHW.dtype)
    return torch.einsum("fchw,c->fhw", x_FCHW, weights_C).unsqueeze(1)


def adjust_brightness(x_FCHW: Tensor, factor_F: Tensor) -> Tensor:
    """Multiply by a factor."""
    return x_FCHW.mul_(_per_frame(factor_F)).clamp_(0, 1)


def adjust_contrast(x_FCHW: Tensor, factor_F: Tensor) -> Tensor:
    """Change the contrast around the mean luma of each frame; factor 0 gives uniform grey."""
    mean_F = (x_FCHW.mean((2, 3)) * constant(LUMA, x_FCHW.device, x_FCHW.dtype)).sum(1)
    offset_F = mean_F * (1 - factor_F)
    return x_FCHW.mul_(_per_frame(factor_F)).add_(_per_frame(offset_F)).clamp_(0, 1)


def adjust_saturation(x_FCHW: Tensor, factor_F: Tensor) -> Tensor:
    """Change the saturation around the luma of each pixel; factor 0 gives a grey picture."""
    grey_F1HW = luma(x_FCHW).mul_(1 - _per_frame(factor_F))
    return x_FCHW.mul_(_per_frame(factor_F)).add_(grey_F1HW).clamp_(0, 1)


def adjust_hue(x_FCHW: Tensor, shift_F: Tensor) -> Tensor:
    """Turn the hue of the HSV cone by a part of the circle; 0.5 gives the opposite colour.

    Value and saturation are unchanged. With V the largest channel, S V its distance from the smallest and the
    hue in sixths of the circle, channel n is V - S V clamp(min(k, 4 - k), 0, 1), k = (n + 6 hue) mod 6, n =
    5, 3, 1 for red, green, blue.
    """
    red, green, blue = x_FCHW.unbind(1)
    value_FHW = x_FCHW.amax(1)
    chroma_FHW = value_FHW - x_FCHW.amin(1)
    safe_FHW = chroma_FHW.clamp_min(1e-8)
    sixths_FHW = torch.where(
        value_FHW == red,
        (green - blue) / safe_FHW,
        torch.where(value_FHW == green, (blue - red) / safe_FHW + 2, (red - green) / safe_FHW + 4),
    )
    sixths_FHW += 6 * shift_F.view(-1, 1, 1)
    offset_C11 = constant((5.0, 3.0, 1.0), x_FCHW.device, x_FCHW.dtype).view(-1, 1, 1)
    k_FCHW = (sixths_FHW[:, None] + offset_C11).remainder_(6)
    share_FCHW = torch.minimum(k_FCHW, 4 - k_FCHW).clamp_(0, 1)
    return torch.addcmul(value_FHW[:, None], chroma_FHW[:, None], share_FCHW, value=-1)
