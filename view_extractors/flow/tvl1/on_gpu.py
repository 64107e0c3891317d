"""TV-L1 on a GPU, from the pictures' bytes to the stored ones.

Pictures are uploaded as bytes, and two bytes per stored pixel are downloaded. Importing this imports torch.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from view_extractors.flow.storing import stored_bytes
from view_extractors.flow.tvl1 import batched
from view_extractors.flow.tvl1.scheme import Scheme
from view_extractors.networks.devices import at_once, host_bytes, stacked_on

log = logging.getLogger(__name__)

#: pixels of all pairs that are worked on at once, at most: enough to keep a large GPU busy
_PIXELS = 1 << 25
#: bytes of memory per pixel of a pair, with the planes of all levels
_BYTES_PER_PIXEL = 250
#: px by which rounding may move the flow of the pair that is tried first
_APART = 0.01


class Tvl1OnGpu:
    """Computes the flow of many pairs at once, or of fewer if the memory is too small.

    Args:
        scheme: the parameters of the method.
        device: where to compute; a CPU can stand in for a GPU.
        refine: how a level is computed; by default by fused kernels, if Triton can be used.
    """

    def __init__(self, scheme: Scheme, device: torch.device, refine: batched.Refine | None = None) -> None:
        self._scheme, self._device = scheme, device
        self._refine = refine or best_refine(device)
        self._pixels = _PIXELS

    def at_once(self, height: int, width: int) -> int:
        """How many pairs of such pictures to compute together."""
        pairs = max(1, self._pixels // (height * width))
        if self._device.type != "cuda":
            return pairs
        return min(pairs, at_once(self._device, _BYTES_PER_PIXEL * height * width))

    def flows(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Motion between neighbours, ``float32`` (T - 1, H, W, 2), px; pictures are ``uint8`` (H, W)."""
        parts = [flow.permute(0, 2, 3, 1).contiguous() for flow in self._parts(pictures)]
        return np.concatenate([part.cpu().numpy() for part in parts])

    def stored(self, pictures: Sequence[np.ndarray], size: tuple[int, int], bound: float) -> np.ndarray:
        """The same, scaled to ``size`` and as bytes, ``uint8`` (T - 1, h, w, 2).

        The bytes are those of :func:`~view_extractors.flow.base.rescale_flow` and
        :func:`~view_extractors.flow.base.flow_to_bytes`.
        """
        kept = host_bytes((len(pictures) - 1, *size, 2), self._device)
        done = 0
        for flow in self._parts(pictures):
            kept[done : done + len(flow)].copy_(stored_bytes(flow, size, bound), non_blocking=True)
            done += len(flow)
        if self._device.type == "cuda":
            torch.cuda.current_stream(self._device).synchronize()
        return kept.numpy()

    @torch.inference_mode()
    def _parts(self, pictures: Sequence[np.ndarray]) -> Iterator[Tensor]:
        """Flow (n, 2, H, W) of as many pairs as fit, on the device."""
        height, width = pictures[0].shape
        pixels_THW = stacked_on(pictures, self._device)
        begin = 0
        while begin < len(pictures) - 1:
            part = pixels_THW[begin : begin + self.at_once(height, width) + 1]
            flow = self._flow(part)
            if flow is not None:
                yield flow
                begin += len(flow)

    def _flow(self, part_THW: Tensor) -> Tensor | None:
        """The flow of a part; None if it did not fit: from then on parts are smaller."""
        try:
            return batched.flow_of_pairs(part_THW.float(), self._scheme, self._refine)
        except torch.OutOfMemoryError:
            if len(part_THW) == 2:
                raise
        # The exception has been released by now, and with it the memory of the failed call.
        torch.cuda.empty_cache()
        self._pixels = (len(part_THW) - 1) // 2 * part_THW[0].numel()
        return None


@functools.cache
def best_refine(device: torch.device) -> batched.Refine:
    """The fused kernels if they run here with correct results; else single torch operations and a message.

    Triton comes with torch where there is a GPU, but it needs a C compiler and a GPU that it supports.
    """
    if device.type != "cuda":
        return batched.refine
    try:
        from view_extractors.flow.tvl1 import fused

        check(fused.refine, device)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        log.warning("TV-L1 runs without its fused kernels, several times slower: %s", reason)
        return batched.refine
    return fused.refine


def check(refine: batched.Refine, device: torch.device) -> None:
    """Compare a way to compute levels with single torch operations, on a small pair.

    Raises:
        ArithmeticError: the flows differ.
    """
    scheme = Scheme(0.15, 0.3, 2, 0.8, warps=2, iterations=7, epsilon=0.0, median_filter=3)
    y_H1, x_W = torch.arange(45.0, device=device)[:, None], torch.arange(70.0, device=device)
    pair_2HW = torch.stack(
        [120 + 60 * torch.sin((x_W + shift) / 4) * torch.cos((y_H1 - shift) / 5) for shift in (0.0, 0.7)]
    )
    with torch.inference_mode():
        found, expected = (batched.flow_of_pairs(pair_2HW, scheme, way) for way in (refine, batched.refine))
    apart = float((found - expected).abs().max())
    if not apart < _APART:  # also true for NaN
        raise ArithmeticError(f"their flow is {apart:.3g} px away from the correct flow")
